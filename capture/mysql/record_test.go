package mysql_test

import (
	"bytes"
	"encoding/base64"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstock/penstock/capture/mysql"
	"github.com/penstock/penstock/integration/servers"
)

var update = flag.Bool("update", false, "record testdata/*.events from the servers anew")

// benchTable has eleven mixed columns, about 250 bytes a row.
const benchTable = `CREATE TABLE bench (id int PRIMARY KEY, customer_id bigint NOT NULL, email varchar(100) NOT NULL, name varchar(80),
 amount decimal(12,2) NOT NULL, qty int, active tinyint(1) NOT NULL, created_at timestamp(6) NOT NULL, updated_at datetime(6), attrs json, note text)`

// TestRecordEvents writes the events that benchmarks and fuzz targets begin
// with; without -update it checks that they are there.
func TestRecordEvents(t *testing.T) {
	t.Parallel()
	insert := make([]string, 20)
	for i := range insert {
		insert[i] = fmt.Sprintf(`(%d, %d, 'customer%d@example.com', 'Name Surname %d', %d.25, %d, %d, '2024-05-06 07:08:09.%06d', '2024-05-06 07:08:09.5', '{"color": "red", "size": %d, "tags": ["a", "b"]}', '%s')`,
			i, 9000000000+i, i, i, 1000+i, i%10, i%2, i*1000, i, strings.Repeat("lorem ipsum ", 5))
	}
	recordings := map[string]struct {
		mariaDB    bool
		statements []string
		rows       int
	}{
		"bench":         {false, []string{benchTable, "INSERT INTO bench VALUES " + strings.Join(insert, ","), "UPDATE bench SET qty = qty + 1", "DELETE FROM bench"}, 3},
		"types":         {false, append([]string{typeTable, "SET sql_mode = ''"}, typeRows...), len(typeRows)},
		"types.mariadb": {true, append([]string{typeTable, "SET sql_mode = ''"}, typeRows...), len(typeRows)},
	}
	for name, r := range recordings {
		file := filepath.Join("testdata", name+".events")
		if !*update {
			if _, err := os.Stat(file); err != nil {
				t.Errorf("%v; run go test ./capture/mysql -run TestRecordEvents -update", err)
			}
			continue
		}
		server := servers.MySQL(t)
		if r.mariaDB {
			server = servers.MariaDB(t)
		}
		b := setup(t, server)
		start := b.now()
		b.exec(r.statements...)
		events, err := mysql.RecordEvents(t.Context(), b.db, start, r.rows)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		for _, e := range events {
			fmt.Fprintln(&out, base64.StdEncoding.EncodeToString(e))
		}
		if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
