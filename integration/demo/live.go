package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// traffic is what happens in a shop while it is mirrored.
type traffic struct {
	transactions, statements atomic.Int64
	altered                  atomic.Bool
}

// shopping is the state of one shop's traffic.
type shopping struct {
	*traffic
	r         *rand.Rand
	d         dialect
	order     int // newest
	customer  int
	review    int
	withLoyal bool // customers have the new column
}

// run makes rate transactions a second until the time is over, and alters a
// table in the middle. It is open loop: a slow database does not lower the
// number of transactions, they only come later.
func (t *traffic) run(ctx context.Context, db database, rate int, length time.Duration) error {
	s, err := db.connect(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	sh := &shopping{traffic: t, r: rand.New(rand.NewPCG(seed, 2)), d: db.dialect(), order: orders, customer: customers, review: reviews}
	total := int(length.Seconds() * float64(rate))
	began := time.Now()
	for n := range total {
		if err := until(ctx, began.Add(time.Duration(n)*time.Second/time.Duration(rate))); err != nil {
			return err
		}
		if n == total/2 {
			if err := s.exec(ctx, "ALTER TABLE customers ADD COLUMN loyalty_points INT"); err != nil {
				return err
			}
			sh.withLoyal = true
			t.altered.Store(true)
		}
		statements := sh.next()
		if err := s.transact(ctx, statements...); err != nil {
			return err
		}
		t.transactions.Add(1)
		t.statements.Add(int64(len(statements)))
	}
	return nil
}

// until waits for a point in time.
func until(ctx context.Context, at time.Time) error {
	d := time.Until(at)
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// next is one transaction.
func (s *shopping) next() []string {
	switch n := s.r.IntN(100); {
	case n < 35:
		return s.newOrder()
	case n < 60:
		return s.ship()
	case n < 75:
		return s.changeCustomer()
	case n < 82:
		return s.newReview()
	case n < 87:
		return []string{fmt.Sprintf("DELETE FROM reviews WHERE id = '%s'", reviewID(1+s.r.IntN(s.review)))}
	case n < 92:
		return []string{fmt.Sprintf("UPDATE products SET price = %s, active = %t WHERE id = %d", cents(199+s.r.IntN(40_000)), s.r.IntN(10) > 0, 1+s.r.IntN(products))}
	case n < 95:
		// A change of keys: the old document must go.
		return []string{fmt.Sprintf("UPDATE order_lines SET line_no = line_no + 10, quantity = quantity + 1 WHERE order_id = %d AND line_no < 1000", 1+s.r.IntN(s.order))}
	case n < 98:
		order := 1 + s.r.IntN(s.order)
		return []string{fmt.Sprintf("DELETE FROM order_lines WHERE order_id = %d", order), fmt.Sprintf("DELETE FROM orders WHERE id = %d", order)}
	default:
		return s.newCustomer()
	}
}

func (s *shopping) newOrder() []string {
	s.order++
	now := time.Now().UTC()
	statements := []string{fmt.Sprintf("INSERT INTO orders (id, customer_id, status, total, placed_at, note) VALUES (%d, %d, 'new', %s, %s, %s)",
		s.order, 1+s.r.IntN(s.customer), cents(500+s.r.IntN(90_000)), s.d.literal(stamp(now)), s.d.literal(pick(s.r, notes)))}
	for n := range 1 + s.r.IntN(4) {
		statements = append(statements, fmt.Sprintf("INSERT INTO order_lines (order_id, line_no, product_id, quantity, unit_price) VALUES (%d, %d, %d, %d, %s)",
			s.order, n+1, 1+s.r.IntN(products), 1+s.r.IntN(5), cents(199+s.r.IntN(40_000))))
	}
	return statements
}

func (s *shopping) ship() []string {
	// Several rows in one statement.
	first := 1 + s.r.IntN(s.order)
	return []string{fmt.Sprintf("UPDATE orders SET status = 'shipped', shipped_on = %s, note = NULL WHERE id BETWEEN %d AND %d",
		s.d.literal(date(time.Now().UTC())), first, first+3)}
}

func (s *shopping) changeCustomer() []string {
	id := 1 + s.r.IntN(s.customer)
	if s.withLoyal && s.r.IntN(2) == 0 {
		return []string{fmt.Sprintf("UPDATE customers SET loyalty_points = %d WHERE id = %d", s.r.IntN(5000), id)}
	}
	return []string{fmt.Sprintf(`UPDATE customers SET balance = balance + %s, preferences = '{"newsletter": true, "seen": [%d, null, "%s"]}' WHERE id = %d`,
		cents(s.r.IntN(20_000)-10_000), s.r.IntN(1000), pick(s.r, rooms), id)}
}

func (s *shopping) newReview() []string {
	s.review++
	item, stars := 1+s.r.IntN(products), 1+s.r.IntN(5)
	title, body := review(s.r, product(item), stars)
	return []string{fmt.Sprintf("INSERT INTO reviews (id, product_id, customer_id, stars, title, body, verified, written_at) VALUES ('%s', %d, %d, %d, %s, %s, true, %s)",
		reviewID(s.review), item, 1+s.r.IntN(s.customer), stars, quote(title), quote(body), s.d.literal(stamp(time.Now().UTC().Truncate(time.Millisecond))))}
}

func (s *shopping) newCustomer() []string {
	s.customer++
	first, last := pick(s.r, firstNames), pick(s.r, lastNames)
	columns, values := "id, name, email, country, vip, balance, created_at", fmt.Sprintf("%d, %s, '%s.%s.%d@example.com', '%s', false, 0, %s",
		s.customer, quote(first+" "+last), ascii(first), ascii(last), s.customer, pick(s.r, countries), s.d.literal(stamp(time.Now().UTC().Truncate(time.Millisecond))))
	if s.withLoyal {
		columns, values = columns+", loyalty_points", values+", 100"
	}
	return []string{fmt.Sprintf("INSERT INTO customers (%s) VALUES (%s)", columns, values)}
}
