package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// The table that everything is measured with: eleven columns of mixed types,
// about 250 bytes a row. stage holds the rows; bench receives them, in
// transactions of the wanted size, by a procedure in the server, so that
// loading is not what is measured.
const (
	postgresSchema = `
CREATE TABLE bench (id int PRIMARY KEY, customer_id bigint NOT NULL, email varchar(100) NOT NULL, name varchar(80), amount numeric(12,2) NOT NULL,
  qty int, active boolean NOT NULL, created_at timestamptz NOT NULL, updated_at timestamp(6), attrs jsonb, note text);
CREATE UNLOGGED TABLE stage (LIKE bench INCLUDING ALL);
CREATE PUBLICATION bench_pub FOR TABLE bench;
CREATE PROCEDURE load_rows(n int, per int) LANGUAGE plpgsql AS $$
DECLARE i int := 0;
BEGIN
  WHILE i < n LOOP
    INSERT INTO bench SELECT * FROM stage WHERE id > i AND id <= i + per;
    i := i + per;
    COMMIT;
  END LOOP;
END $$;`

	mysqlTable = `CREATE TABLE bench (id int PRIMARY KEY, customer_id bigint NOT NULL, email varchar(100) NOT NULL, name varchar(80), amount decimal(12,2) NOT NULL,
  qty int, active tinyint(1) NOT NULL, created_at timestamp(6) NOT NULL, updated_at datetime(6), attrs json, note text)`
	mysqlLoad = `CREATE PROCEDURE load_rows(n int, per int)
BEGIN
  DECLARE i int DEFAULT 0;
  WHILE i < n DO
    START TRANSACTION;
    INSERT INTO bench SELECT * FROM stage WHERE id > i AND id <= i + per;
    COMMIT;
    SET i = i + per;
  END WHILE;
END`
)

var words = strings.Fields("lorem ipsum dolor sit amet consectetur adipiscing elit sed do eiusmod tempor incididunt ut labore et dolore magna aliqua")

// benchRow is one row, its columns as text that both databases read.
type benchRow [11]string

// benchRows calls f with rows 1 to n, the same ones in every run, in batches.
func benchRows(n, batch int, f func(rows []benchRow) error) error {
	r := rand.New(rand.NewPCG(7, 7))
	word := func() string { return words[r.IntN(len(words))] }
	at := func() string {
		return fmt.Sprintf("2024-%02d-%02d %02d:%02d:%02d.%06d", 1+r.IntN(12), 1+r.IntN(28), r.IntN(24), r.IntN(60), r.IntN(60), r.IntN(1e6))
	}
	rows := make([]benchRow, 0, batch)
	for i := 1; i <= n; i++ {
		first, last, customer := word(), word(), 1+r.IntN(1e7)
		note := make([]string, 10)
		for j := range note {
			note[j] = word()
		}
		rows = append(rows, benchRow{
			fmt.Sprint(i), fmt.Sprint(customer), fmt.Sprintf("%s.%s.%d@example.com", first, last, customer), first + " " + last,
			fmt.Sprintf("%d.%02d", r.IntN(1e6), r.IntN(100)), fmt.Sprint(r.IntN(1000)), fmt.Sprint(r.IntN(10) / 3 % 2), at(), at(),
			fmt.Sprintf(`{"tier": "%s", "tags": ["%s", "%s"], "score": %d, "ref": "%08x"}`, [...]string{"gold", "silver", "bronze"}[r.IntN(3)], word(), word(), r.IntN(1000), r.Uint32()),
			strings.Join(note, " "),
		})
		if len(rows) == batch || i == n {
			if err := f(rows); err != nil {
				return err
			}
			rows = rows[:0]
		}
	}
	return nil
}

// copyText renders rows as COPY reads them. No value needs escaping.
func copyText(dst []byte, rows []benchRow) []byte {
	for i := range rows {
		for j, v := range rows[i] {
			if j > 0 {
				dst = append(dst, '\t')
			}
			dst = append(dst, v...)
		}
		dst = append(dst, '\n')
	}
	return dst
}

// insertText renders rows as one INSERT. No value needs escaping.
func insertText(table string, rows []benchRow) string {
	var b strings.Builder
	b.WriteString("INSERT INTO " + table + " VALUES ")
	for i := range rows {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString("('")
		b.WriteString(strings.Join(rows[i][:], "','"))
		b.WriteString("')")
	}
	return b.String()
}
