package mysql_test

import (
	"strings"
	"testing"

	"github.com/penstock/penstock/integration/servers"
	"github.com/penstock/penstock/schema"
)

const typeTable = `CREATE TABLE types (id int NOT NULL PRIMARY KEY,
 c_tinyint1 tinyint(1), c_bool boolean, c_tinyint tinyint, c_tinyint_u tinyint unsigned, c_smallint smallint, c_smallint_u smallint unsigned, c_mediumint mediumint, c_mediumint_u mediumint unsigned,
 c_int int, c_int_u int unsigned, c_int_zf int(8) zerofill, c_bigint bigint, c_bigint_u bigint unsigned,
 c_dec decimal(10,2), c_dec65 decimal(65,30), c_num numeric, c_dec9 decimal(9,9), c_zf decimal(8,2) zerofill,
 c_float float, c_float_p float(7,3), c_float53 float(53), c_double double, c_double_p double(10,3), c_real real,
 c_bit1 bit(1), c_bit8 bit(8), c_bit17 bit(17), c_bit64 bit(64),
 c_char char(5), c_varchar varchar(20), c_tinytext tinytext, c_text text, c_mediumtext mediumtext, c_longtext longtext, c_wide varchar(300), c_widechar char(100),
 l_char char(5) CHARACTER SET latin1, l_text text CHARACTER SET latin1, u3 varchar(20) CHARACTER SET utf8mb3, u16 varchar(20) CHARACTER SET utf16, u32 varchar(20) CHARACTER SET utf32,
 sjis varchar(20) CHARACTER SET sjis, gbk varchar(20) CHARACTER SET gbk, cp1251 varchar(20) CHARACTER SET cp1251, ascii_ varchar(20) CHARACTER SET ascii, bin_ varchar(20) COLLATE utf8mb4_bin,
 c_binary binary(4), c_varbinary varbinary(20), c_tinyblob tinyblob, c_blob blob, c_mediumblob mediumblob, c_longblob longblob,
 c_enum enum('a','b,c','d''e','é'), c_set set('x','y','z z','w'), c_enum_l enum('ä','ö') CHARACTER SET latin1,
 c_date date, c_time time, c_time1 time(1), c_time3 time(3), c_time5 time(5), c_time6 time(6),
 c_dt datetime, c_dt1 datetime(1), c_dt3 datetime(3), c_dt4 datetime(4), c_dt6 datetime(6),
 c_ts timestamp NULL, c_ts3 timestamp(3) NULL, c_ts6 timestamp(6) NULL, c_year year,
 c_geom geometry, c_point point, c_line linestring,
 d_nn date NOT NULL, dt_nn datetime NOT NULL, ts_nn timestamp NOT NULL DEFAULT '2000-01-01 00:00:00', e_nn enum('p','q') NOT NULL DEFAULT 'q')`

var typeRows = []string{
	`INSERT INTO types VALUES (1, 1,true,127,255,32767,65535,8388607,16777215, 2147483647,4294967295,42,9223372036854775807,18446744073709551615,
 12345678.90, 12345678901234567890123456789012345.123456789012345678901234567890, 77, 0.123456789, 1.5,
 1.1, 1234.567, 0.1, 2.718281828459045, 1234567.891, 1e100,
 b'1', b'10101010', b'10000000000000001', b'1000000000000000000000000000000000000000000000000000000000000001',
 'ab', 'varchär 😀', 'tt', 'line1\nline2\t"q" \\ \0 €', 'mt', 'lt', 'wide', 'widechar',
 'é', 'ÿ€', 'ü3', 'u16 日本', 'u32 😀', '日本語', '中文', 'Привет', 'ascii', 'BiN',
 'a\0', x'766200ff', 'tb', x'DEADBEEF00', 'mb', 'lb', 'b,c', 'x,z z', 'ö',
 '2024-02-29','13:14:15','13:14:15.1','13:14:15.123','13:14:15.12345','13:14:15.123456',
 '2024-02-29 13:14:15','2024-02-29 13:14:15.1','2024-02-29 13:14:15.123','2024-02-29 13:14:15.1234','2024-02-29 13:14:15.123456',
 '2024-02-29 13:14:15','2024-02-29 13:14:15.123','2024-02-29 13:14:15.123456',2024,
 ST_GeomFromText('POINT(1 2)'), ST_GeomFromText('POINT(1.5 -2.5)'), ST_GeomFromText('LINESTRING(0 0,1 1,2 2)'),
 '2020-01-02', '2020-01-02 03:04:05', '2020-01-02 03:04:05', 'p')`,
	`INSERT INTO types (id, d_nn, dt_nn) VALUES (2, '0000-00-00', '0000-00-00')`,
	`INSERT INTO types VALUES (3, 0,false,-128,0,-32768,0,-8388608,0, -2147483648,0,0,-9223372036854775808,9223372036854775808,
 -0.01, -0.000000000000000000000000000001, -77, -0.000000001, 0,
 -3.4e38, -0.001, 1e-300, -1.7976931348623157e308, -0.001, -1.5,
 b'0', b'0', b'11111111111111111', b'1111111111111111111111111111111111111111111111111111111111111111',
 'abcde', 'trail  ', ' ', ' ', ' ', ' ', repeat('é', 300), repeat('é', 100),
 '', 'a  ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ',
 '', '', ' ', '\0', '\0', '', 'é', 'x,y,z z,w', 'ä',
 '1000-01-01','-838:59:59','-00:00:00.1','-838:59:59.000','00:00:00.00001','-00:00:00.000001',
 '1000-01-01 00:00:00','9999-12-31 23:59:59.9','1969-12-31 23:59:59.999','1582-10-10 00:00:00','9999-12-31 23:59:59.999999',
 '1970-01-01 00:00:01','2038-01-19 03:14:07.999','2038-01-19 03:14:07.999999',1901,
 ST_GeomFromText('POLYGON((0 0,10 0,10 10,0 10,0 0))'), ST_GeomFromText('POINT(0 0)'), NULL,
 '2024-00-00', '0069-01-01', '0000-00-00', 'q')`,
	`INSERT INTO types (id, c_float, c_double, c_enum, c_set, c_dt6, c_date, c_year, d_nn, dt_nn, c_time6) VALUES
 (4, 16777216, 123456789.125, 'no member', 'no', '0001-01-01', '9999-12-31', 0, '2000-01-01', '2000-01-01', '838:59:58.999999')`,
}

// typeServers are those that tell all about a table in the log, and those that
// leave it to the schema history.
func typeServers(t *testing.T, f func(t *testing.T, server *servers.MySQLServer)) {
	t.Helper()
	for name, start := range map[string]func(t *testing.T) *servers.MySQLServer{
		"MySQL": func(t *testing.T) *servers.MySQLServer { return servers.MySQL(t) },
		"MySQL, minimal metadata": func(t *testing.T) *servers.MySQLServer {
			return servers.MySQL(t, servers.Config("binlog_row_metadata=MINIMAL"))
		},
		"MariaDB": func(t *testing.T) *servers.MySQLServer { return servers.MariaDB(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(t, start(t))
		})
	}
}

func TestTypes_SnapshotEqualsStream(t *testing.T) {
	t.Parallel()
	typeServers(t, func(t *testing.T, server *servers.MySQLServer) {
		b := setup(t, server)
		b.exec(typeTable)
		r := b.stream(nil)
		schemas := map[string]string{}
		r.each = func(ev *schema.Event) { schemas["stream"] = describe(ev.Table) }
		b.exec(append([]string{"SET sql_mode = '', time_zone = '+03:00', NAMES utf8mb4"}, typeRows...)...)
		streamed := r.until(4)
		var copied []string
		b.scan(1, func(ev *schema.Event) {
			schemas["snapshot"] = describe(ev.Table)
			copied = append(copied, strings.Replace(render(ev), "types r ", "types c ", 1))
		})
		equal(t, fields(copied), fields(streamed)...)
		equal(t, strings.Split(schemas["stream"], "\n"), strings.Split(schemas["snapshot"], "\n")...)
	})
}

// fields cuts rows into lines of one value each, with the few that Debezium
// shows in another way in a snapshot made alike.
func fields(rows []string) []string {
	var out []string
	for _, row := range rows {
		for f := range strings.SplitSeq(row, " c_") {
			if strings.HasPrefix(f, "ts") { // digits after the second
				f = strings.NewReplacer(".000Z", "Z", ".000000Z", "Z").Replace(f)
			}
			out = append(out, f)
		}
	}
	return out
}

// describe lists a table's columns with their schemas.
func describe(t *schema.Table) string {
	var b strings.Builder
	for _, c := range t.Columns {
		b.WriteString(c.Name + " " + c.Schema.Type.String() + " " + c.Schema.Name)
		if c.Schema.Optional {
			b.WriteString(" optional")
		}
		for _, p := range c.Schema.Parameters {
			b.WriteString(" " + p.Name + "=" + p.Value)
		}
		if d := c.Schema.Default; d != nil {
			b.WriteString(" default " + d.GoString())
		}
		b.WriteString("\n")
	}
	return b.String()
}
