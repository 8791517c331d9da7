package pages

import (
	"fmt"
	"math"
	"strings"
)

// A price is what the list of the provider says, in US dollars, with where and when
// it was read. Prices are inputs: change one, run `make generate`.
type price struct {
	name, unit string
	usd        float64
}

// Prices are list prices of europe-west1 without discounts, as stated on the pages
// cloud.google.com/run/pricing, /sql/pricing, /memorystore/docs/redis/pricing,
// /compute/all-pricing, /kubernetes-engine/pricing, /tasks/pricing,
// /load-balancing/pricing and /armor/pricing. They are assumptions of this model, to
// be compared with the pages before anything is decided by them.
var prices = map[string]price{
	"cpu":      {"Cloud Run, processor while a request is served", "vCPU-second", 0.000024},
	"memory":   {"Cloud Run, memory while a request is served", "GiB-second", 0.0000025},
	"idle":     {"Cloud Run, always on (router): 1 vCPU and 0.5 GiB", "instance-month", 50.0},
	"request":  {"Cloud Run, requests", "million", 0.40},
	"task":     {"Cloud Tasks, operations", "million", 0.40},
	"sql":      {"Cloud SQL, db-custom-4-15360, regional", "month", 403.0},
	"node":     {"Citus group: two VMs of 8 vCPU and 32 GB, 500 GB SSD each", "month", 730.0},
	"storage":  {"SSD storage, regional", "GB-month", 0.34},
	"redis":    {"Memorystore, 5 GB, HA", "month", 230.0},
	"gke":      {"GKE: control plane and a node of n2-standard-4", "node-month", 170.0},
	"balancer": {"Load balancer and Cloud Armor", "month", 60.0},
	"armor":    {"Cloud Armor, requests", "million", 0.75},
	"egress":   {"Traffic to the internet", "GB", 0.085},
	"log":      {"Logs kept 30 days", "GB", 0.50},
}

// A load is what tenants do. The figures are assumptions, stated in the page.
type load struct {
	requests float64 // of a tenant in a month
	seconds  float64 // of processor for a request, router and function together
	gib      float64 // of memory while it is served
	answer   float64 // GB to the client
	logged   float64 // GB of log
	messages float64 // of a request
	rows     float64 // GB of a tenant
	batch    float64 // requests that an instance serves at once, on average
}

var assumed = load{requests: 20_000, seconds: 0.006, gib: 0.5, answer: 4e-6, logged: 0.8e-6, messages: 0.05, rows: 0.02, batch: 4}

// A Line is one part of the bill.
type Line struct {
	Name string
	USD  float64
}

// Costs is a month's bill for so many tenants.
func Costs(tenants float64) []Line {
	a, p := assumed, func(name string) float64 { return prices[name].usd }
	millions := tenants * a.requests / 1e6
	gb := tenants * a.rows
	// The peak is ten times the mean; a router's instance takes 400 requests a second.
	perSecond := millions * 1e6 / (30 * 86400)
	routers := math.Max(2, math.Ceil(10*perSecond/400))
	// One Cloud SQL carries 2,000 requests a second and 2 TB; beyond it Citus, a group
	// for each of the same, and a coordinator.
	groups := math.Max(math.Ceil(10*perSecond/2000), math.Ceil(gb/2000))
	database := Line{"Database (Cloud SQL)", p("sql") + gb*p("storage")}
	if groups > 1 {
		database = Line{fmt.Sprintf("Database (Citus, %.0f groups)", groups+1), (groups+1)*p("node") + 2*gb*p("storage")}
	}
	return []Line{
		{"Functions", millions * 1e6 * a.seconds * (p("cpu") + a.gib*p("memory")/a.batch)},
		{fmt.Sprintf("Router (%.0f instances)", routers), routers * p("idle")},
		{"Requests (Cloud Run and Cloud Armor)", millions*2*p("request") + millions*p("armor")},
		{"Messages", millions * a.messages * 2 * p("task")},
		database,
		{"Redis", p("redis") * math.Max(1, math.Ceil(tenants/200_000))},
		{"Cluster (Hydra, PgBouncer)", p("gke") * math.Max(3, math.Ceil(groups))},
		{"Load balancer", p("balancer")},
		{"Traffic", millions * 1e6 * a.answer * p("egress")},
		{"Logs", millions * 1e6 * a.logged * p("log")},
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
		name := bills[0][row].Name
		if cut, _, ok := strings.Cut(name, " ("); ok && !strings.HasPrefix(name, "Requests") && !strings.HasPrefix(name, "Cluster") {
			name = cut
		}
		fmt.Fprintf(&b, "| %s |", name)
		for i := range bills {
			l := bills[i][row]
			totals[i] += l.USD
			note := ""
			if _, how, ok := strings.Cut(l.Name, " ("); ok && (strings.HasPrefix(name, "Router") || strings.HasPrefix(name, "Database")) {
				note = " (" + how
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

func priceTable() string {
	var b strings.Builder
	b.WriteString("| what | unit | US dollars |\n| --- | --- | ---: |\n")
	for _, key := range []string{"cpu", "memory", "idle", "request", "armor", "task", "sql", "node", "storage", "redis", "gke", "balancer", "egress", "log"} {
		p := prices[key]
		fmt.Fprintf(&b, "| %s | %s | %s |\n", p.name, p.unit, strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.7f", p.usd), "0"), "."))
	}
	return b.String()
}

func loadTable() string {
	a := assumed
	return fmt.Sprintf(`| assumption | figure |
| --- | ---: |
| requests of a tenant in a month | %s |
| processor time of a request, router and function | %.0f ms |
| requests that an instance serves at once, on average | %.0f |
| an answer | %.0f kB |
| log of a request | %.1f kB |
| messages of a request | %.2f |
| rows of a tenant | %.0f MB |
`, grouped(a.requests, 0), a.seconds*1000, a.batch, a.answer*1e6, a.logged*1e6, a.messages, a.rows*1000)
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
