package mongodb

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/penstock/penstock/settings"
	"github.com/penstock/penstock/sinks"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

var (
	errDatabase   = errors.New(`a database's name has 1 to 63 characters and none of /\. "$*<>:|?`)
	errCollection = errors.New(`a collection's name has no $, does not begin with a dot or with "system.", and has, with the database's name and a dot before it, at most 255 bytes`)
)

// The connector's names.
const (
	shortName     = "mongodb-sink"
	classMongo    = "com.mongodb.kafka.connect.MongoSinkConnector"
	classDebezium = "io.debezium.connector.mongodb.MongoDbSinkConnector"
)

// Connector returns the MongoDB sink for the worker's catalogue.
func Connector() sinks.Connector {
	return sinks.Connector{
		Name:     shortName,
		Classes:  []string{classMongo, classDebezium},
		Version:  "2.0.1",
		Settings: settings.NewSet(definitions()),
		Prefixes: []string{"topic.override."},
		New:      newDestination,
	}
}

// face is which connector's habits are asked for.
type face uint8

const (
	faceShort face = iota
	faceMongo
	faceDebezium
)

func faceOf(class string) face {
	switch simple := class[strings.LastIndexByte(class, '.')+1:]; {
	case class == shortName || class == "":
		return faceShort
	case strings.HasPrefix(simple, "MongoDbSink"):
		return faceDebezium
	default:
		return faceMongo
	}
}

// idStrategy is where _id comes from.
type idStrategy uint8

const (
	idFromKey      idStrategy = iota // the key's one field, or the key as a document
	idFullKey                        // the key as a document
	idOID                            // new for each record
	idPartialKey                     // some fields of the key
	idPartialValue                   // some fields of the value
	idInKey                          // field _id of the key
	idInValue                        // field _id of the value
	idMetadata                       // topic, partition and offset
	idUUID                           // new for each record
)

// writeStrategy is how a row is written.
type writeStrategy uint8

const (
	writeReplace writeStrategy = iota
	writeInsert
	writeSet
	writeSetTimes
	writeDelete
)

// config is a parsed configuration.
type config struct {
	client     *options.ClientOptions
	database   string
	collection string
	format     string
	overrides  map[string]namespace // by topic

	// unwrap says that envelopes are recognised.
	unwrap bool
	// dropKeys leaves the key's fields out of the document.
	dropKeys bool
	// skipTombstones says that a null value repeats a delete.
	skipTombstones bool
	deleteOnNull   bool
	typed          bool
	id             idStrategy
	overwriteID    bool
	// idFields are the names of a partial strategy.
	idFields projection
	// fields are those that a document gets.
	fields projection
	write  writeStrategy
	// business says that the id's fields find the document, which has an _id
	// of its own.
	business bool
	ordered  bool
	maxBatch int
}

type namespace struct{ database, collection string }

func (n namespace) String() string { return n.database + "." + n.collection }

// projection picks fields by name. The zero projection picks all.
type projection struct {
	kind  projectionKind
	names map[string]bool
}

type projectionKind uint8

const (
	projectAll projectionKind = iota
	projectAllow
	projectBlock
)

func newProjection(kind string, names []string) projection {
	p := projection{names: map[string]bool{}}
	switch kind {
	case "allowlist", "whitelist":
		p.kind = projectAllow
	case "blocklist", "blacklist":
		p.kind = projectBlock
	}
	for _, n := range names {
		p.names[n] = true
	}
	return p
}

func (p *projection) keeps(name string) bool {
	switch p.kind {
	case projectAllow:
		return p.names[name]
	case projectBlock:
		return !p.names[name]
	default:
		return true
	}
}

// simple returns the last part of a class name.
func simple(class string) string {
	return class[strings.LastIndexAny(class, ".$")+1:]
}

func oneOfClasses(names ...string) func(string) error {
	return func(text string) error {
		if text = strings.TrimSpace(text); text == "" || slices.Contains(names, simple(text)) {
			return nil
		}
		return fmt.Errorf("it has to be one of %s", strings.Join(names, ", "))
	}
}

func checkProcessors(text string) error {
	for _, p := range settings.SplitList(text) {
		switch simple(p) {
		case "DocumentIdAdder", "AllowListValueProjector", "BlockListValueProjector", "WhitelistValueProjector", "BlacklistValueProjector":
		default:
			return fmt.Errorf("%s is not supported yet; DocumentIdAdder and the value projectors are", simple(p))
		}
	}
	return nil
}

func parseConfig(v settings.Values) (config, settings.Problems) {
	var problems settings.Problems
	report := func(key, format string, args ...any) {
		problems = append(problems, settings.Problem{Key: key, Message: fmt.Sprintf(format, args...)})
	}
	f := faceOf(strings.TrimSpace(v.Raw()["connector.class"]))
	// The short name's defaults are in the table; those of the Java classes
	// differ in what their users count on.
	flag := func(key string, java bool) bool {
		if f == faceMongo && !v.IsSet(key) {
			return java
		}
		return v.Bool(key)
	}
	c := config{
		database:     v.String("database"),
		collection:   strings.TrimSpace(v.String("collection")),
		format:       v.String("collection.name.format"),
		overrides:    map[string]namespace{},
		deleteOnNull: flag("delete.on.null.values", false),
		typed:        flag("typed.values", false),
		ordered:      flag("bulk.write.ordered", true),
		overwriteID:  v.Bool("document.id.strategy.overwrite.existing"),
		fields:       newProjection(v.String("value.projection.type"), v.List("value.projection.list")),
		maxBatch:     int(v.Int("max.batch.size")),
	}
	if f == faceDebezium && !v.IsSet("typed.values") {
		c.typed = false
	}
	c.client = options.Client().ApplyURI(v.String("connection.uri")).SetAppName("penstock")
	if err := c.client.Validate(); err != nil {
		// The driver's text may hold the string, and so the password.
		report("connection.uri", "Invalid value [hidden] for configuration connection.uri: %s; it has the form mongodb://user:password@host:port/?options", hideURI(err, v.String("connection.uri")))
	}
	handler := simple(v.String("change.data.capture.handler"))
	c.unwrap = f != faceMongo || handler != ""
	c.dropKeys = handler != "" || f == faceDebezium
	c.skipTombstones = c.dropKeys
	overrides := settings.WithPrefix(v.Raw(), "topic.override.")
	for _, key := range slices.Sorted(maps.Keys(overrides)) {
		value := overrides[key]
		topic, what, ok := cutLast(key)
		n := c.overrides[topic]
		var err error
		switch {
		case ok && what == "database":
			n.database, err = value, checkDatabase(value)
		case ok && what == "collection":
			n.collection = value
		default:
			report("topic.override."+key, "Invalid configuration topic.override.%s: only database and collection can be set for a topic", key)
		}
		if err != nil {
			report("topic.override."+key, "Invalid value %s for configuration topic.override.%s: %v", value, key, err)
		}
		c.overrides[topic] = n
	}
	c.checkCollections(report)
	c.parseID(v, f, report)
	c.parseWrite(v, report)
	if c.maxBatch < 0 {
		report("max.batch.size", "Invalid value %d for configuration max.batch.size: it must not be negative", c.maxBatch)
	}
	return c, problems
}

// checkCollections looks at the names as far as they are known before a topic's
// is.
func (c *config) checkCollections(report func(key, format string, args ...any)) {
	check := func(key, given string, n namespace) {
		if n.collection == "" || strings.ContainsAny(n.collection, "$\x00") || n.collection[0] == '.' ||
			strings.HasPrefix(n.collection, "system.") || len(n.String()) > maxNamespace {
			report(key, "Invalid value %s for configuration %s: %v", given, key, errCollection)
		}
	}
	if c.collection != "" {
		check("collection", c.collection, namespace{c.database, c.collection})
	} else if c.format != "" {
		check("collection.name.format", c.format, namespace{c.database, c.formatted("t")})
	}
	for _, topic := range slices.Sorted(maps.Keys(c.overrides)) {
		if o := c.overrides[topic]; o.collection != "" {
			check("topic.override."+topic+".collection", o.collection, c.namespaceOf(topic))
		}
	}
}

// maxNamespace is MongoDB's limit of database and collection with the dot
// between them, in bytes.
const maxNamespace = 255

func (c *config) parseID(v settings.Values, f face, report func(key, format string, args ...any)) {
	name := simple(v.String("document.id.strategy"))
	switch name {
	case "":
		switch {
		case c.dropKeys:
			c.id = idFullKey
		case f == faceMongo:
			c.id = idOID
		default:
			c.id = idFromKey
		}
	case "BsonOidStrategy":
		c.id = idOID
	case "FullKeyStrategy":
		c.id = idFullKey
	case "PartialKeyStrategy":
		c.id = idPartialKey
	case "PartialValueStrategy":
		c.id = idPartialValue
	case "ProvidedInKeyStrategy":
		c.id = idInKey
	case "ProvidedInValueStrategy":
		c.id = idInValue
	case "KafkaMetaDataStrategy":
		c.id = idMetadata
	case "UuidStrategy":
		c.id = idUUID
	}
	which := map[idStrategy]string{idPartialKey: "key", idPartialValue: "value"}[c.id]
	if which != "" {
		prefix := "document.id.strategy.partial." + which + ".projection."
		c.idFields = newProjection(v.String(prefix+"type"), v.List(prefix+"list"))
		if c.idFields.kind == projectAll || len(c.idFields.names) == 0 {
			report(prefix+"list", "%s needs %stype=allowlist (or blocklist) and %slist with the names of fields", name, prefix, prefix)
		}
	}
	if c.dropKeys && name != "" && c.id != idFullKey {
		report("document.id.strategy", "Invalid value %s for configuration document.id.strategy: with change.data.capture.handler the _id is the key; take one of the two away", name)
	}
	if c.deleteOnNull && (c.id == idOID || c.id == idUUID || c.id == idMetadata || c.id == idPartialValue || c.id == idInValue) && v.IsSet("delete.on.null.values") {
		report("delete.on.null.values", "Invalid value true for configuration delete.on.null.values: document.id.strategy=%s does not give a null value the _id of the document to delete; use a strategy that takes the key", name)
	}
}

func (c *config) parseWrite(v settings.Values, report func(key, format string, args ...any)) {
	switch name := simple(v.String("writemodel.strategy")); name {
	case "InsertOneDefaultStrategy":
		c.write = writeInsert
	case "UpdateOneDefaultStrategy":
		c.write = writeSet
	case "UpdateOneTimestampsStrategy":
		c.write = writeSetTimes
	case "DeleteOneDefaultStrategy":
		c.write = writeDelete
	case "ReplaceOneBusinessKeyStrategy":
		c.write, c.business = writeReplace, true
	case "UpdateOneBusinessKeyTimestampStrategy":
		c.write, c.business = writeSetTimes, true
	case "DeleteOneBusinessKeyStrategy":
		c.write, c.business = writeDelete, true
	}
	if c.business && c.id != idPartialKey && c.id != idPartialValue {
		report("writemodel.strategy", "a business key strategy needs document.id.strategy PartialKeyStrategy or PartialValueStrategy, which say what the key's fields are")
	}
}

// namespaceOf returns where a topic's records go.
func (c *config) namespaceOf(topic string) namespace {
	n := namespace{c.database, c.collection}
	if n.collection == "" {
		n.collection = topic
		if c.format != "" {
			n.collection = c.formatted(topic)
		}
	}
	o := c.overrides[topic]
	if o.database != "" {
		n.database = o.database
	}
	if o.collection != "" {
		n.collection = o.collection
	}
	return n
}

// formatted returns the collection's name by collection.name.format.
func (c *config) formatted(topic string) string {
	table := topic[strings.LastIndexByte(topic, '.')+1:]
	return strings.NewReplacer("${topic}", topic, "${table}", table).Replace(c.format)
}

// cutLast cuts at the last dot: topics have dots, settings do not.
func cutLast(key string) (topic, what string, ok bool) {
	i := strings.LastIndexByte(key, '.')
	if i < 0 {
		return "", key, false
	}
	return key[:i], key[i+1:], true
}

func hideURI(err error, uri string) string {
	return strings.ReplaceAll(err.Error(), uri, "[hidden]")
}
