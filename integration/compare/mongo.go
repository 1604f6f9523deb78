package compare

import (
	"context"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// Mongo is a database of a MongoDB server as a destination.
type Mongo struct{ uri, database string }

// NewMongo takes a mongodb:// URI and the name of the database.
func NewMongo(uri, database string) *Mongo { return &Mongo{uri: uri, database: database} }

func (m *Mongo) documents(ctx context.Context, target string, f func([]byte) error) (err error) {
	client, err := mongo.Connect(options.Client().ApplyURI(m.uri).SetServerSelectionTimeout(20 * time.Second))
	if err != nil {
		return fmt.Errorf("connect to MongoDB: %w", err)
	}
	defer func() {
		if e := client.Disconnect(context.WithoutCancel(ctx)); err == nil {
			err = e
		}
	}()
	cursor, err := client.Database(m.database).Collection(target).Find(ctx, bson.D{}, options.Find().SetBatchSize(10_000))
	if err != nil {
		return err
	}
	defer func() {
		if e := cursor.Close(context.WithoutCancel(ctx)); err == nil {
			err = e
		}
	}()
	for cursor.Next(ctx) {
		if err := f(append([]byte(nil), cursor.Current...)); err != nil {
			return err
		}
	}
	return cursor.Err()
}

func (m *Mongo) decode(raw []byte) (map[string]any, error) {
	elements, err := bson.Raw(raw).Elements()
	if err != nil {
		return nil, fmt.Errorf("read a document: %w", err)
	}
	fields := make(map[string]any, len(elements))
	for _, e := range elements {
		v, err := bsonValue(e.Value())
		if err != nil {
			return nil, fmt.Errorf("read the field %s of a document: %w", e.Key(), err)
		}
		fields[e.Key()] = v
	}
	return fields, nil
}

func bsonValue(v bson.RawValue) (any, error) {
	switch v.Type {
	case bson.TypeNull, bson.TypeUndefined:
		return nil, nil
	case bson.TypeBoolean:
		return v.Boolean(), nil
	case bson.TypeInt32:
		return int64(v.Int32()), nil
	case bson.TypeInt64:
		return v.Int64(), nil
	case bson.TypeDouble:
		return v.Double(), nil
	case bson.TypeString:
		return v.StringValue(), nil
	case bson.TypeBinary:
		_, b := v.Binary()
		return append([]byte{}, b...), nil
	case bson.TypeDecimal128:
		return Decimal(v.Decimal128().String()), nil
	case bson.TypeDateTime:
		return v.Time().UTC(), nil
	case bson.TypeObjectID:
		return v.ObjectID().Hex(), nil
	case bson.TypeEmbeddedDocument:
		elements, err := v.Document().Elements()
		if err != nil {
			return nil, err
		}
		m := make(map[string]any, len(elements))
		for _, e := range elements {
			if m[e.Key()], err = bsonValue(e.Value()); err != nil {
				return nil, err
			}
		}
		return m, nil
	case bson.TypeArray:
		values, err := v.Array().Values()
		if err != nil {
			return nil, err
		}
		a := make([]any, 0, len(values))
		for _, e := range values {
			x, err := bsonValue(e)
			if err != nil {
				return nil, err
			}
			a = append(a, x)
		}
		return a, nil
	default:
		return nil, fmt.Errorf("a value of BSON type %s is nothing that a row becomes", v.Type)
	}
}
