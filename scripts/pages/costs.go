package pages

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"
)

// A price is one line of the provider's list, in US dollars without discounts.
type price struct {
	Key  string  `json:"key"`
	Name string  `json:"name"`
	Unit string  `json:"unit"`
	USD  float64 `json:"usd"`
	// Region is the one whose price it is, or all.
	Region string `json:"region"`
	// SKU is what the Cloud Billing Catalog calls it, where a source said so.
	SKU string `json:"sku,omitempty"`
	// Page is where the provider states it.
	Page string `json:"page"`
	// Sources are what the figure was compared with, on the day Read; without them
	// it is an assumption that nobody has compared.
	Sources []string `json:"sources"`
	Read    string   `json:"read"`
	// Open is what the sources left open.
	Open string `json:"open,omitempty"`
}

// A source is something that states prices.
type source struct {
	Key  string `json:"key"`
	Name string `json:"name"`
}

type priceList struct {
	Sources []source `json:"sources"`
	Prices  []price  `json:"prices"`
}

// Prices are inputs, in one file: correct a figure there, note the day and the
// source, run `make generate`. What is made of several of them is in wholes.
//
//go:embed prices.json
var pricesFile []byte

func readPrices(text []byte) (priceList, error) {
	var list priceList
	decode := json.NewDecoder(bytes.NewReader(text))
	decode.DisallowUnknownFields()
	if err := decode.Decode(&list); err != nil {
		return list, fmt.Errorf("prices.json: %w", err)
	}
	sources := map[string]bool{}
	for _, s := range list.Sources {
		if s.Key == "" || s.Name == "" || sources[s.Key] {
			return list, fmt.Errorf("prices.json: source %q has no key or name, or is there twice", s.Key)
		}
		sources[s.Key] = true
	}
	used, seen := map[string]bool{}, map[string]bool{}
	for _, p := range list.Prices {
		switch _, err := time.Parse(time.DateOnly, p.Read); {
		case p.Key == "" || p.Name == "" || p.Unit == "" || p.Page == "" || p.Region == "":
			return list, fmt.Errorf("prices.json: %q has no key, name, unit, region or page", p.Key)
		case p.USD <= 0:
			return list, fmt.Errorf("prices.json: %s costs nothing", p.Key)
		case seen[p.Key]:
			return list, fmt.Errorf("prices.json: %s is there twice", p.Key)
		case p.Read != "" && err != nil:
			return list, fmt.Errorf("prices.json: %s was read on %q, which is no day", p.Key, p.Read)
		case (p.Read == "") != (len(p.Sources) == 0):
			return list, fmt.Errorf("prices.json: %s has a day without a source, or a source without a day", p.Key)
		}
		for _, s := range p.Sources {
			if !sources[s] {
				return list, fmt.Errorf("prices.json: %s was compared with %q, which is no source", p.Key, s)
			}
			used[s] = true
		}
		seen[p.Key] = true
	}
	for _, s := range list.Sources {
		if !used[s.Key] {
			return list, fmt.Errorf("prices.json: nothing was compared with %s", s.Key)
		}
	}
	return list, nil
}

var prices = func() priceList {
	list, err := readPrices(pricesFile)
	if err != nil {
		panic(err) // of a file that is compiled in; the tests read it, too
	}
	return list
}()

func priceOf(key string) price {
	for _, p := range prices.Prices {
		if p.Key == key {
			return p
		}
	}
	panic("no price of " + key)
}

func usd(key string) float64 { return priceOf(key).USD }

// A month has 730 hours, as the provider counts it.
const (
	hours   = 730.0
	seconds = hours * 3600
)

// An item is so much of one price.
type item struct {
	quantity float64
	price    string
}

// A whole is what is deployed at once and costs the same each month: its parts are
// what terraform/modules makes.
type whole struct {
	key, name string
	parts     []item
}

var wholes = []whole{
	// modules/router: billed by instance, since it works between requests.
	{"router", "An instance of the router: 2 vCPU, 512 MiB", []item{{2 * seconds, "always-cpu"}, {0.5 * seconds, "always-memory"}}},
	// modules/function: billed by request, and a little for what is kept ready.
	{"ready", "A function's instance that is kept ready: 1 vCPU, 256 MiB", []item{{seconds, "idle-cpu"}, {0.25 * seconds, "idle-memory"}}},
	{"sql", "Cloud SQL: 4 vCPU, 15 GiB, regional, without storage", []item{{4 * hours, "sql-cpu"}, {15 * hours, "sql-memory"}}},
	{"group", "A group of Citus: two machines, 500 GB each", []item{{2 * hours, "highmem"}, {2 * 30, "balanced"}, {2 * 500, "ssd"}}},
	{"consensus", "etcd in three zones", []item{{3 * hours, "small"}, {3 * 20, "ssd"}}},
	{"redis", "Redis, 5 GB", []item{{5 * hours, "redis"}}},
	// Load balancers inside, a rule each: of five the price is one.
	{"plane", "The cluster's control plane; the ways in to PgBouncer, to Hydra's administration and to Citus", []item{{hours, "plane"}, {hours, "rule"}}},
	{"node", "A node of the cluster", []item{{hours, "standard"}, {100, "balanced"}}},
	// Two of ours, one for each of OWASP's eight sets, and the one that a policy ends with.
	{"edge", "The load balancer: two rules of it, a policy of 11 rules", []item{{hours, "rule"}, {1, "armor-policy"}, {11, "armor-rule"}}},
}

func (w whole) usd() (sum float64) {
	for _, p := range w.parts {
		sum += p.quantity * usd(p.price)
	}
	return sum
}

func month(key string) float64 {
	for _, w := range wholes {
		if w.key == key {
			return w.usd()
		}
	}
	panic("no whole called " + key)
}

// A load is what tenants do, and what carries how much of it. The figures are
// assumptions, stated in the page.
type load struct {
	requests float64 // of a tenant in a month
	latency  float64 // seconds that a function takes for an answer
	batch    float64 // requests that an instance serves at once when there are many
	gib      float64 // of memory of a function's instance
	ask      float64 // GB from the client
	answer   float64 // GB to the client
	logged   float64 // GB of log
	messages float64 // of a request
	rows     float64 // GB of a tenant
	room     float64 // of disks, against rows
	peak     float64 // against the mean
	router   float64 // requests a second of one of its instances
	spare    float64 // of the router's instances, against what the mean needs
	database float64 // requests a second of Cloud SQL, or of a group
}

var assumed = load{
	requests: 20_000, latency: 0.024, batch: 4, gib: 0.25, ask: 1e-6, answer: 4e-6, logged: 0.8e-6, messages: 0.05, rows: 0.02, room: 1.25,
	peak: 10, router: 1000, spare: 2, database: 2000,
}

const (
	answering = 10   // functions of kind http
	ready     = 2    // instances that functions.json keeps, of all functions
	nodes     = 5    // of the cluster, at least, in production
	firstDisk = 100  // GB of Cloud SQL to begin with
	groupDisk = 500  // GB of a machine of Citus to begin with
	rounding  = 0.1  // seconds that Cloud Run counts at least
	lastOfSQL = 2000 // GB beyond which Citus takes over
)

// A Line is one part of the bill. Its note says how many.
type Line struct {
	Name, Note string
	USD        float64
}

// busy is how many instances of functions are billed on average. Where requests are
// few, each counts for as long as Cloud Run rounds up to, unless another falls into
// the same moment; where they are many, instances share their time among them.
func busy(perSecond float64) float64 {
	each := perSecond / answering
	return answering * math.Max(1-math.Exp(-each*rounding), each*assumed.latency/assumed.batch)
}

// egress is the price of so many GB to the internet, by the list's steps.
func egress(gb float64) float64 {
	first := math.Min(gb, 1024)
	second := math.Min(gb-first, 9*1024)
	return first*usd("egress") + second*usd("egress-1") + (gb-first-second)*usd("egress-10")
}

// Costs is a month's bill for so many tenants.
func Costs(tenants float64) []Line {
	a := assumed
	requests := tenants * a.requests
	perSecond := requests / seconds
	// A message is left with one operation and brought with another, to a function.
	messages := requests * a.messages
	calls := requests + messages
	rows := tenants * a.rows * a.room
	// What is billed by instance is billed for the mean: Cloud Run ends instances that
	// have nothing to do, after a while.
	routers := math.Max(2, math.Ceil(a.spare*perSecond/a.router))
	groups := math.Max(math.Ceil(a.peak*perSecond/a.database), math.Ceil(rows/lastOfSQL))
	database := Line{"Database", "Cloud SQL", month("sql") + math.Max(firstDisk, rows)*usd("storage")}
	if groups > 1 {
		// Cloud SQL stays, with what Hydra keeps.
		more := math.Max(0, rows/groups-groupDisk)
		citus := (groups+1)*month("group") + groups*2*more*usd("ssd") + month("consensus")
		database = Line{"Database", fmt.Sprintf("Citus, %.0f groups, and Cloud SQL", groups+1), citus + month("sql") + firstDisk*usd("storage")}
	}
	cluster := math.Max(nodes, groups)
	return []Line{
		{"Functions, while they serve", "", busy(calls/seconds) * seconds * (usd("cpu") + a.gib*usd("memory"))},
		{"Functions, kept ready", "", ready * month("ready")},
		{"Router", fmt.Sprintf("%.0f instances", routers), routers * month("router")},
		{"Requests of functions", "", calls / 1e6 * usd("request")},
		{"Requests before Cloud Armor", "", requests / 1e6 * usd("armor")},
		{"Messages", "", messages / 1e6 * 2 * usd("task")},
		database,
		{"Redis", "", month("redis") * math.Max(1, math.Ceil(tenants/200_000))},
		{"Cluster of Hydra and PgBouncer", fmt.Sprintf("%.0f nodes", cluster), month("plane") + cluster*month("node")},
		{"Load balancer", "", month("edge") + requests*(a.ask+a.answer)*usd("processed")},
		{"Traffic to the internet", "", egress(requests * a.answer)},
		{"Logs", "", requests * a.logged * usd("log")},
	}
}

// Sizes are the numbers of tenants that the page has.
var Sizes = []float64{100, 10_000, 1_000_000}

func costTable() string {
	var b strings.Builder
	bills := make([][]Line, len(Sizes))
	b.WriteString("| a month, in US dollars |")
	for i, n := range Sizes {
		bills[i] = Costs(n)
		fmt.Fprintf(&b, " %s tenants |", grouped(n, 0))
	}
	b.WriteString("\n| --- | ---: | ---: | ---: |\n")
	totals := make([]float64, len(Sizes))
	for row := range bills[0] {
		fmt.Fprintf(&b, "| %s |", bills[0][row].Name)
		for i := range bills {
			l := bills[i][row]
			totals[i] += l.USD
			note := ""
			if l.Note != "" {
				note = " (" + l.Note + ")"
			}
			fmt.Fprintf(&b, " %s%s |", grouped(l.USD, 0), note)
		}
		b.WriteString("\n")
	}
	line := func(name string, decimals int, of func(i int) float64) {
		fmt.Fprintf(&b, "| **%s** |", name)
		for i := range bills {
			fmt.Fprintf(&b, " **%s** |", grouped(of(i), decimals))
		}
		b.WriteString("\n")
	}
	line("together", 0, func(i int) float64 { return totals[i] })
	line("a tenant", 4, func(i int) float64 { return totals[i] / Sizes[i] })
	line("a million requests", 2, func(i int) float64 { return totals[i] / (Sizes[i] * assumed.requests / 1e6) })
	return b.String()
}

// figure writes a price without zeroes at its end.
func figure(v float64) string {
	return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.9f", v), "0"), ".")
}

// watched says which chart of the dashboard Cost (terraform/modules/monitoring)
// tells how much there is of each line.
var watched = map[string]string{
	"Functions, while they serve":    "Instances that are billed",
	"Functions, kept ready":          "Instances that are billed",
	"Router":                         "Instances that are billed",
	"Requests of functions":          "Requests of functions",
	"Requests before Cloud Armor":    "Requests at the edge",
	"Messages":                       "Attempts of tasks",
	"Database":                       "Bytes of Cloud SQL",
	"Cluster of Hydra and PgBouncer": "Processors of the cluster",
	"Load balancer":                  "Bytes to the internet",
	"Traffic to the internet":        "Bytes to the internet",
	"Logs":                           "Bytes of logs",
}

func chartTable() string {
	var b strings.Builder
	b.WriteString("| part | chart |\n| --- | --- |\n")
	for _, l := range Costs(Sizes[0]) {
		chart, ok := watched[l.Name]
		if !ok {
			chart = "none: what is deployed is paid, used or not"
		}
		fmt.Fprintf(&b, "| %s | %s |\n", l.Name, chart)
	}
	return b.String()
}

func priceTable() string {
	var b strings.Builder
	b.WriteString("| what | unit | US dollars | region | SKU | compared with | on |\n| --- | --- | ---: | --- | --- | --- | --- |\n")
	for _, p := range prices.Prices {
		with, read := strings.Join(p.Sources, ", "), p.Read
		if read == "" {
			with, read = "nothing: assumed", "never"
		}
		fmt.Fprintf(&b, "| [%s](https://%s) | %s | %s | %s | %s | %s | %s |\n", p.Name, p.Page, p.Unit, figure(p.USD), p.Region, p.SKU, with, read)
	}
	return b.String()
}

func sourceTable() string {
	var b strings.Builder
	b.WriteString("| source | what it is |\n| --- | --- |\n")
	for _, s := range prices.Sources {
		fmt.Fprintf(&b, "| %s | %s |\n", s.Key, s.Name)
	}
	return b.String()
}

func openTable() string {
	var b strings.Builder
	b.WriteString("| price | what is open |\n| --- | --- |\n")
	for _, p := range prices.Prices {
		if p.Open != "" {
			fmt.Fprintf(&b, "| %s | %s |\n", p.Name, p.Open)
		}
	}
	return b.String()
}

func wholeTable() string {
	var b strings.Builder
	b.WriteString("| what | quantity | price | a month |\n| --- | ---: | ---: | ---: |\n")
	for _, w := range wholes {
		fmt.Fprintf(&b, "| **%s** | | | **%s** |\n", w.name, grouped(w.usd(), 2))
		for _, p := range w.parts {
			of := priceOf(p.price)
			unit := of.Unit
			if p.quantity != 1 {
				unit += "s"
			}
			fmt.Fprintf(&b, "| %s | %s %s | %s | %s |\n", of.Name, grouped(p.quantity, 0), unit, figure(of.USD), grouped(p.quantity*of.USD, 2))
		}
	}
	return b.String()
}

func loadTable() string {
	a := assumed
	return fmt.Sprintf(`| assumption | figure |
| --- | ---: |
| requests of a tenant in a month | %s |
| the peak, against the mean | %.0f |
| a function's answer takes | %.0f ms |
| requests that an instance of a function serves at once, when there are many | %.0f |
| a request | %.0f kB |
| an answer | %.0f kB |
| log of a request, our own | %.1f kB |
| messages of a request | %.2f |
| rows of a tenant, with their indexes | %.0f MB |
| disks, against rows | %.2f |
| requests a second of an instance of the router | %s |
| instances of the router, against what the mean needs | %.0f |
| requests a second of Cloud SQL, or of a group of Citus | %s |
`, grouped(a.requests, 0), a.peak, a.latency*1000, a.batch, a.ask*1e6, a.answer*1e6, a.logged*1e6, a.messages, a.rows*1000, a.room,
		grouped(a.router, 0), a.spare, grouped(a.database, 0))
}

// grouped writes a number with commas.
func grouped(v float64, decimals int) string {
	whole, rest, _ := strings.Cut(fmt.Sprintf("%.*f", decimals, v), ".")
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if rest != "" {
		whole += "." + rest
	}
	return whole
}
