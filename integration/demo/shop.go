package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// shopTable is one table of the sample shop, for both databases.
type shopTable struct {
	name            string
	mysql, postgres []string // column and key definitions
	columns         []string
	rows            int
	// row returns row n, counted from 1. The same n gives the same row in both
	// databases and in every run.
	row func(r *rand.Rand, n int) []any
}

// The values of a row are int64, float64, bool, decimal, string, []byte,
// []string (a list), document, date, stamp, or nil.
type (
	decimal  string
	document string // JSON
	date     time.Time
	stamp    time.Time
)

// Sizes of the shop. Orders have two lines on average, see lines.
const (
	customers = 24_000
	products  = 2_000
	orders    = 60_000
	reviews   = 22_000
)

// opening is when the shop took its first order.
var opening = time.Date(2025, time.January, 6, 8, 0, 0, 0, time.UTC)

// lines is how many lines order n has.
func lines(n int) int { return 1 + n%3 }

// line returns the order and number of the n-th line of all, counted from 1.
func line(n int) (order, number int) {
	order = (n-1)/6*3 + 1 // orders 3k+1, 3k+2 and 3k+3 have 2, 3 and 1 lines
	rest := (n - 1) % 6
	for rest >= lines(order) {
		rest -= lines(order)
		order++
	}
	return order, rest + 1
}

func shop() []shopTable {
	return []shopTable{
		{
			name:    "customers",
			columns: []string{"id", "name", "email", "country", "born", "vip", "balance", "preferences", "created_at"},
			mysql: []string{
				"id BIGINT PRIMARY KEY", "name VARCHAR(100) NOT NULL", "email VARCHAR(200) NOT NULL UNIQUE", "country CHAR(2) NOT NULL", "born DATE",
				"vip BOOLEAN NOT NULL", "balance DECIMAL(12,2) NOT NULL", "preferences JSON", "created_at TIMESTAMP(3) NOT NULL",
			},
			postgres: []string{
				"id bigint PRIMARY KEY", "name varchar(100) NOT NULL", "email varchar(200) NOT NULL UNIQUE", "country char(2) NOT NULL", "born date",
				"vip boolean NOT NULL", "balance numeric(12,2) NOT NULL", "preferences jsonb", "created_at timestamptz NOT NULL",
			},
			rows: customers,
			row: func(r *rand.Rand, n int) []any {
				first, last := pick(r, firstNames), pick(r, lastNames)
				var born any
				if r.IntN(10) > 0 {
					born = date(time.Date(1940+r.IntN(66), time.Month(1+r.IntN(12)), 1+r.IntN(28), 0, 0, 0, 0, time.UTC))
				}
				return []any{
					int64(n), first + " " + last, fmt.Sprintf("%s.%s.%d@example.com", ascii(first), ascii(last), n), pick(r, countries), born,
					r.IntN(12) == 0, cents(r.IntN(90_000) - 10_000),
					document(fmt.Sprintf(`{"newsletter": %t, "language": %q, "sizes": [%d, %d]}`, r.IntN(2) == 0, pick(r, languages), 36+r.IntN(10), 36+r.IntN(10))),
					stamp(opening.Add(-time.Duration(r.IntN(400*24*3600)) * time.Second)),
				}
			},
		},
		{
			name:    "products",
			columns: []string{"id", "sku", "name", "description", "price", "weight_kg", "tags", "fingerprint", "active"},
			mysql: []string{
				"id INT PRIMARY KEY", "sku CHAR(10) NOT NULL", "name VARCHAR(120) NOT NULL", "description TEXT", "price DECIMAL(10,2) NOT NULL",
				"weight_kg DOUBLE", "tags JSON", "fingerprint VARBINARY(16)", "active BOOLEAN NOT NULL",
			},
			postgres: []string{
				"id int PRIMARY KEY", "sku char(10) NOT NULL", "name varchar(120) NOT NULL", "description text", "price numeric(10,2) NOT NULL",
				"weight_kg double precision", "tags text[]", "fingerprint bytea", "active boolean NOT NULL",
			},
			rows: products,
			row: func(r *rand.Rand, n int) []any {
				name := product(n)
				fingerprint := make([]byte, 16)
				for i := range fingerprint {
					fingerprint[i] = byte(r.Uint32())
				}
				return []any{
					int64(n), fmt.Sprintf("SKU-%06d", n), name, fmt.Sprintf("%s. %s", name, pick(r, promises)), cents(199 + r.IntN(40_000)),
					float64(r.IntN(20_000)) / 1000,
					[]string{pick(r, materials), pick(r, rooms)},
					fingerprint, r.IntN(20) > 0,
				}
			},
		},
		{
			name:    "orders",
			columns: []string{"id", "customer_id", "status", "total", "placed_at", "shipped_on", "note"},
			mysql: []string{
				"id BIGINT PRIMARY KEY", "customer_id BIGINT NOT NULL", "status ENUM('new','paid','shipped','returned') NOT NULL", "total DECIMAL(12,2) NOT NULL",
				"placed_at DATETIME(6) NOT NULL", "shipped_on DATE", "note VARCHAR(200)", "KEY (customer_id)",
			},
			postgres: []string{
				"id bigint PRIMARY KEY", "customer_id bigint NOT NULL", "status order_status NOT NULL", "total numeric(12,2) NOT NULL",
				"placed_at timestamp(6) NOT NULL", "shipped_on date", "note varchar(200)",
			},
			rows: orders,
			row: func(r *rand.Rand, n int) []any {
				placed := opening.Add(time.Duration(n)*7*time.Minute + time.Duration(r.IntN(60_000_000))*time.Microsecond)
				status := pick(r, statuses)
				var shipped, note any
				if status == "shipped" || status == "returned" {
					shipped = date(placed.AddDate(0, 0, 1+r.IntN(5)))
				}
				if r.IntN(8) == 0 {
					note = pick(r, notes)
				}
				return []any{int64(n), int64(1 + r.IntN(customers)), status, cents(500 + r.IntN(90_000)), stamp(placed), shipped, note}
			},
		},
		{
			name:    "order_lines",
			columns: []string{"order_id", "line_no", "product_id", "quantity", "unit_price", "discount"},
			mysql: []string{
				"order_id BIGINT", "line_no SMALLINT", "product_id INT NOT NULL", "quantity INT NOT NULL", "unit_price DECIMAL(10,2) NOT NULL", "discount FLOAT",
				"PRIMARY KEY (order_id, line_no)",
			},
			postgres: []string{
				"order_id bigint", "line_no smallint", "product_id int NOT NULL", "quantity int NOT NULL", "unit_price numeric(10,2) NOT NULL", "discount real",
				"PRIMARY KEY (order_id, line_no)",
			},
			rows: orders * 2,
			row: func(r *rand.Rand, n int) []any {
				order, number := line(n)
				var discount any
				if r.IntN(4) == 0 {
					discount = float64(float32(r.IntN(50)) / 100)
				}
				return []any{int64(order), int64(number), int64(1 + r.IntN(products)), int64(1 + r.IntN(5)), cents(199 + r.IntN(40_000)), discount}
			},
		},
		{
			name:    "reviews",
			columns: []string{"id", "product_id", "customer_id", "stars", "title", "body", "verified", "written_at"},
			mysql: []string{
				"id CHAR(36) PRIMARY KEY", "product_id INT NOT NULL", "customer_id BIGINT NOT NULL", "stars TINYINT NOT NULL", "title VARCHAR(120) NOT NULL",
				"body TEXT NOT NULL", "verified BOOLEAN NOT NULL", "written_at TIMESTAMP(3) NOT NULL",
			},
			postgres: []string{
				"id uuid PRIMARY KEY", "product_id int NOT NULL", "customer_id bigint NOT NULL", "stars smallint NOT NULL", "title varchar(120) NOT NULL",
				"body text NOT NULL", "verified boolean NOT NULL", "written_at timestamptz NOT NULL",
			},
			rows: reviews,
			row: func(r *rand.Rand, n int) []any {
				item, stars := 1+r.IntN(products), 1+r.IntN(5)
				title, body := review(r, product(item), stars)
				return []any{
					reviewID(n), int64(item), int64(1 + r.IntN(customers)), int64(stars), title, body, r.IntN(3) > 0,
					stamp(opening.Add(time.Duration(n) * 19 * time.Minute)),
				}
			},
		},
		{
			name:     probes,
			columns:  []string{"id", "note"},
			mysql:    []string{"id BIGINT PRIMARY KEY", "note VARCHAR(40) NOT NULL"},
			postgres: []string{"id bigint PRIMARY KEY", "note varchar(40) NOT NULL"},
			// One row to copy, so that the topic is there and the sink reads it
			// when the first probe is measured.
			rows: 1,
			row:  func(*rand.Rand, int) []any { return []any{int64(0), "here before"} },
		},
	}
}

// probes is the table whose rows measure the way to the sink.
const probes = "probes"

// rowCount is the number of rows loaded into each database.
func rowCount(tables []shopTable) int {
	n := 0
	for _, t := range tables {
		n += t.rows
	}
	return n
}

func reviewID(n int) string { return fmt.Sprintf("5eed0000-0000-4000-8000-%012d", n) }

func product(n int) string {
	return fmt.Sprintf("%s %s %s", adjectives[n%len(adjectives)], materials[n/len(adjectives)%len(materials)], things[(n*7)%len(things)])
}

// review writes what a customer might, so that there is something to search.
func review(r *rand.Rand, product string, stars int) (title, body string) {
	kind := (stars - 1) / 2 // bad, so-so, good
	title = pick(r, titles[kind])
	body = strings.Join([]string{
		fmt.Sprintf(pick(r, openings), strings.ToLower(product)),
		pick(r, verdicts[kind]), pick(r, details), pick(r, closings[kind]),
	}, " ")
	return title, body
}

func pick(r *rand.Rand, from []string) string { return from[r.IntN(len(from))] }

func cents(n int) decimal {
	sign := ""
	if n < 0 {
		sign, n = "-", -n
	}
	return decimal(fmt.Sprintf("%s%d.%02d", sign, n/100, n%100))
}

// ascii makes a name fit for a mail address.
func ascii(s string) string {
	return strings.ToLower(strings.NewReplacer("é", "e", "ü", "ue", "ö", "oe", "ø", "o", "ł", "l", "ñ", "n", "ç", "c", " ", "").Replace(s))
}

var (
	firstNames = []string{"Ada", "Grace", "José", "Łukasz", "Mei", "Amara", "Søren", "Zoë", "Jürgen", "Priya", "Tomás", "Aylin", "Kofi", "Ines", "Noah", "Yuki", "François", "Leila", "Björn", "Olga"}
	lastNames  = []string{"Lovelace", "Hopper", "García", "Nowak", "Chen", "Okafor", "Møller", "Müller", "Sharma", "Peña", "Yılmaz", "Mensah", "Rossi", "Smith", "Tanaka", "Dubois", "Haddad", "Öberg", "Ivanova", "Silva"}
	countries  = []string{"DE", "FR", "GB", "PL", "ES", "SE", "JP", "IN", "GH", "BR", "US", "TR"}
	languages  = []string{"de", "en", "fr", "ja", "pl", "es"}
	statuses   = []string{"new", "paid", "shipped", "shipped", "shipped", "returned"}
	notes      = []string{"Leave it at the neighbour's, please.", "Gift: no invoice in the parcel.", "Ring twice; the bell is shy.", "Für Oma – bitte hübsch einpacken!"}
	adjectives = []string{"Sturdy", "Folding", "Quiet", "Cordless", "Handmade", "Compact", "Heavy", "Waterproof", "Vintage", "Cheerful", "Insulated", "Adjustable", "Tiny", "Classic", "Modular", "Portable"}
	materials  = []string{"Oak", "Steel", "Linen", "Bamboo", "Copper", "Wool", "Glass", "Ceramic", "Cork", "Walnut"}
	things     = []string{"Kettle", "Lamp", "Chair", "Backpack", "Clock", "Blanket", "Teapot", "Bookshelf", "Umbrella", "Toaster", "Desk", "Mug", "Grinder"}
	rooms      = []string{"kitchen", "garden", "office", "bedroom", "travel", "workshop"}
	promises   = []string{"Built to outlive its box.", "Repairable with one screwdriver.", "Tested by people who drop things.", "Ships flat, stands straight.", "Made for daily use."}
	titles     = [][]string{
		{"Broke after a week", "Not what I ordered", "Sending it back", "Loud and wobbly"},
		{"It does the job", "Fine, with reservations", "Nice idea, average result"},
		{"Would buy again", "Better than expected", "A small delight every morning", "Finally one that lasts"},
	}
	openings = []string{
		"I bought the %s for my mother.", "We have used the %s every day for a month.", "The %s arrived two days early.",
		"After three cheaper ones I tried the %s.", "My office ordered a dozen of the %s.",
	}
	verdicts = [][]string{
		{"The handle came off on the second day.", "It leaks, whatever we try.", "The paint smells even after airing it for a week.", "It hums louder than the fridge."},
		{"It works, but the instructions are a riddle.", "The colour is darker than in the picture.", "Good quality, though the lid needs some force."},
		{"The finish is beautiful and nothing rattles.", "It is so quiet that I keep checking whether it runs.", "It survived a fall down the stairs.", "Everything about it feels thought through."},
	}
	details = []string{
		"Cleaning takes a minute.", "It fits exactly between the window and the wall.", "The cable could be longer.", "The spare parts are easy to get.",
		"My daughter painted a fox on it.", "The packaging was plain cardboard, which I like.",
	}
	closings = [][]string{
		{"I asked for my money back.", "Avoid.", "The support never answered."},
		{"Three stars until I know how long it holds.", "At half the price I would not complain."},
		{"Recommended without hesitation.", "I have already ordered a second one.", "Worth every cent."},
	}
)
