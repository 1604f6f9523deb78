package converters_test

import (
	"context"
	"fmt"

	"github.com/penstock/penstock/converters"
	"github.com/penstock/penstock/schema"
)

func ExampleNew() {
	ctx := context.Background()
	c, problems := converters.New("org.apache.kafka.connect.json.JsonConverter", map[string]string{"schemas.enable": "false"}, false)
	if err := problems.Err(); err != nil {
		fmt.Println(err)
		return
	}
	customer := &schema.Schema{Type: schema.TypeStruct, Fields: []schema.Field{
		{Name: "id", Schema: &schema.Schema{Type: schema.TypeInt64}},
		{Name: "name", Schema: &schema.Schema{Type: schema.TypeString, Optional: true}},
	}}
	e, err := c.Encoder(ctx, "customers", customer) // once
	if err != nil {
		fmt.Println(err)
		return
	}
	var buf []byte
	for _, row := range [][]schema.Value{{schema.Int(1), schema.Text("Ann")}, {schema.Int(2), {}}} {
		if buf, err = e.Append(buf[:0], schema.Seq(schema.KindStruct, row)); err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(string(buf))
	}
	// Output:
	// {"id":1,"name":"Ann"}
	// {"id":2,"name":null}
}
