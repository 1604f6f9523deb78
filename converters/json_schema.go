package converters

import (
	"bytes"
	"fmt"
	"math"

	"github.com/penstock/penstock/schema"
)

// jsonSchemaNode is what a schema's JSON object says, in whatever order.
type jsonSchemaNode struct {
	schema   schema.Schema
	typeName []byte
	field    []byte // the name of the struct field; nil if there is none
	fields   bool   // there is a list of fields
	initial  []byte // the text of the default
}

// readSchema reads a schema, or null, which is no schema. It returns the name
// of the struct field that it belongs to, too; nil if there is none.
func (c *JSON) readSchema(s *jsonScanner, known *[]*schema.Schema) (*schema.Schema, []byte, error) {
	switch s.peek() {
	case '{':
	case 'n':
		return nil, nil, s.literal("null")
	default:
		if err := s.skip(); err != nil {
			return nil, nil, err
		}
		return nil, nil, &DataError{Message: "Schema must contain 'type' field"}
	}
	var n jsonSchemaNode
	empty, err := s.open('}')
	for more := !empty; more && err == nil; {
		var name []byte
		if name, err = s.name(); err != nil {
			break
		}
		if err = c.readSchemaEntry(s, &n, string(name), known); err != nil {
			break
		}
		more, err = s.more('}')
	}
	if err != nil {
		return nil, nil, err
	}
	result, err := c.finishSchema(s, &n)
	if err != nil {
		if n.field != nil {
			err = inField(err, n.field)
		}
		return nil, nil, err
	}
	// Before and after of an envelope are the same schema, and who makes a
	// plan for it should need one only.
	if result.Type == schema.TypeStruct {
		for _, k := range *known {
			if k.Equal(result) {
				return k, n.field, nil
			}
		}
		*known = append(*known, result)
	}
	return result, n.field, nil
}

func (c *JSON) readSchemaEntry(s *jsonScanner, n *jsonSchemaNode, name string, known *[]*schema.Schema) (err error) {
	var v schema.Value
	switch name {
	case "items", "values":
		n.schema.Elem, _, err = c.readSchema(s, known)
		return err
	case "keys":
		n.schema.Key, _, err = c.readSchema(s, known)
		return err
	case "fields":
		return c.readSchemaFields(s, n, known)
	case "default":
		s.peek()
		start := s.at
		err = s.skip()
		n.initial = s.data[start:s.at]
		return err
	case "parameters":
		return readSchemaParameters(s, n)
	case "type", "name", "doc", "field", "optional", "version":
	default:
		return s.skip()
	}
	if err := s.any(&v); err != nil {
		return err
	}
	text := v.Kind() == schema.KindString
	switch {
	case name == "type" && text:
		n.typeName = v.Bytes()
	case name == "name" && text:
		n.schema.Name = string(v.Bytes())
	case name == "doc" && text:
		n.schema.Doc = string(v.Bytes())
	case name == "field" && text:
		n.field = v.Bytes()
	case name == "optional":
		n.schema.Optional = v.Kind() == schema.KindBool && v.Bool()
	case name == "version" && v.Kind() == schema.KindInt && v.Int() >= math.MinInt32 && v.Int() <= math.MaxInt32:
		n.schema.Version = int(v.Int())
	}
	return nil
}

func (c *JSON) readSchemaFields(s *jsonScanner, n *jsonSchemaNode, known *[]*schema.Schema) error {
	if s.peek() != '[' {
		return s.skip()
	}
	n.fields = true
	n.schema.Fields = nil
	empty, err := s.open(']')
	for more := !empty; more && err == nil; {
		var f *schema.Schema
		var name []byte
		if f, name, err = c.readSchema(s, known); err != nil {
			return err
		}
		if f == nil || name == nil {
			return &DataError{Message: "Struct schema's field name not specified properly"}
		}
		n.schema.Fields = append(n.schema.Fields, schema.Field{Name: string(name), Schema: f})
		more, err = s.more(']')
	}
	return err
}

func readSchemaParameters(s *jsonScanner, n *jsonSchemaNode) error {
	var v schema.Value
	if err := s.any(&v); err != nil || v.Kind() != schema.KindMap {
		return err
	}
	pairs := v.Elems()
	n.schema.Parameters = nil
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1].Kind() != schema.KindString {
			return &DataError{Message: "Schema parameters must have string values."}
		}
		n.schema.Parameters = append(n.schema.Parameters, schema.Parameter{
			Name: string(pairs[i].Bytes()), Value: string(pairs[i+1].Bytes()),
		})
	}
	return nil
}

var jsonTypes = map[string]schema.Type{
	"boolean": schema.TypeBoolean, "int8": schema.TypeInt8, "int16": schema.TypeInt16, "int32": schema.TypeInt32,
	"int64": schema.TypeInt64, "float": schema.TypeFloat32, "double": schema.TypeFloat64, "string": schema.TypeString,
	"bytes": schema.TypeBytes, "array": schema.TypeArray, "map": schema.TypeMap, "struct": schema.TypeStruct,
}

// finishSchema checks what a node has for its type and reads its default.
func (c *JSON) finishSchema(s *jsonScanner, n *jsonSchemaNode) (*schema.Schema, error) {
	result := &n.schema
	if n.typeName == nil {
		return nil, &DataError{Message: "Schema must contain 'type' field"}
	}
	var ok bool
	if result.Type, ok = jsonTypes[string(n.typeName)]; !ok {
		return nil, &DataError{Message: "Unknown schema type: " + excerpt(n.typeName)}
	}
	switch result.Type {
	case schema.TypeArray:
		if result.Elem == nil {
			return nil, &DataError{Message: "Array schema did not specify the element type"}
		}
	case schema.TypeMap:
		if result.Key == nil {
			return nil, &DataError{Message: "Map schema did not specify the key type"}
		}
		if result.Elem == nil {
			return nil, &DataError{Message: "Map schema did not specify the value type"}
		}
	case schema.TypeStruct:
		if !n.fields {
			return nil, &DataError{Message: `Struct schema's "fields" argument is not an array.`}
		}
		names := make(map[string]bool, len(result.Fields))
		for i := range result.Fields {
			name := result.Fields[i].Name
			if names[name] {
				return nil, &DataError{Message: "Cannot create field because of field name duplication " + name}
			}
			names[name] = true
		}
	default:
	}
	if n.initial == nil {
		return result, nil
	}
	// Made without a default yet, so that null is not read as that.
	r, err := c.reader(result)
	if err != nil {
		return nil, err
	}
	d := jsonScanner{data: n.initial, arena: s.arena, depth: s.depth}
	var v schema.Value
	if err := r.read(&d, &v); err != nil {
		return nil, err
	}
	if !v.IsNull() {
		// A copy: the record's bytes go back to their owner.
		v = v.Clone()
		result.Default = &v
	}
	return result, nil
}

// parseSchema compiles the text of a schema.
func (c *JSON) parseSchema(text []byte) (*jsonSchemaEntry, error) {
	// Its own arena: nothing of it is kept.
	var arena schema.Arena
	s := jsonScanner{data: text, arena: &arena}
	var known []*schema.Schema
	result, _, err := c.readSchema(&s, &known)
	if err != nil {
		return nil, err
	}
	r, err := c.reader(result)
	if err != nil {
		return nil, fmt.Errorf("read a record's schema: %w", err)
	}
	return &jsonSchemaEntry{text: bytes.Clone(text), schema: result, reader: r}, nil
}
