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

// A price is one line of prices.json, in US dollars.
type price struct {
	Key  string  `json:"key"`
	Name string  `json:"name"`
	Unit string  `json:"unit"`
	USD  float64 `json:"usd"`
	// Page is where the provider states it.
	Page string `json:"page"`
	// Read is the day on which the figure was compared with that page, or a copy of
	// it; without one it is an assumption that nobody has compared.
	Read string `json:"read"`
}

// Prices are inputs, in one file: correct a figure there, note the day, run `make
// generate`. They are meant as list prices of europe-west1 without discounts.
//
//go:embed prices.json
var pricesFile []byte

func readPrices(text []byte) ([]price, error) {
	var list []price
	decode := json.NewDecoder(bytes.NewReader(text))
	decode.DisallowUnknownFields()
	if err := decode.Decode(&list); err != nil {
		return nil, fmt.Errorf("prices.json: %w", err)
	}
	seen := map[string]bool{}
	for _, p := range list {
		switch _, err := time.Parse(time.DateOnly, p.Read); {
		case p.Key == "" || p.Name == "" || p.Unit == "" || p.Page == "":
			return nil, fmt.Errorf("prices.json: %q has no key, name, unit or page", p.Key)
		case p.USD <= 0:
			return nil, fmt.Errorf("prices.json: %s costs nothing", p.Key)
		case seen[p.Key]:
			return nil, fmt.Errorf("prices.json: %s is there twice", p.Key)
		case p.Read != "" && err != nil:
			return nil, fmt.Errorf("prices.json: %s was read on %q, which is no day", p.Key, p.Read)
		}
		seen[p.Key] = true
	}
	return list, nil
}

var prices = func() []price {
	list, err := readPrices(pricesFile)
	if err != nil {
		panic(err) // of a file that is compiled in; the tests read it, too
	}
	return list
}()

func priceOf(key string) float64 {
	for _, p := range prices {
		if p.Key == key {
			return p.USD
		}
	}
	panic("no price of " + key)
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
	a, p := assumed, priceOf
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
	b.WriteString("| what | unit | US dollars | to be compared with | compared |\n| --- | --- | ---: | --- | --- |\n")
	for _, p := range prices {
		read := p.Read
		if read == "" {
			read = "no: assumed"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | <https://%s> | %s |\n", p.Name, p.Unit, strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.7f", p.USD), "0"), "."), p.Page, read)
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
