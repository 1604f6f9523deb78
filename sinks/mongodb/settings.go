package mongodb

import (
	"strings"

	"github.com/penstock/penstock/settings"
)

const (
	groupConnection = "Connection"
	groupNamespace  = "Namespace"
	groupDocument   = "Document"
	groupWrites     = "Writes"

	sinkPackage = "com.mongodb.kafka.connect.sink."
	idPackage   = sinkPackage + "processor.id.strategy."
	writes      = sinkPackage + "writemodel.strategy."
	namespaces  = sinkPackage + "namespace.mapping."
	debezium    = sinkPackage + "cdc.debezium."

	notYet = "not supported yet; take it away"
)

// strategies list the values of a setting that takes class names: the last
// part of each name is enough.
var (
	idStrategies = []string{
		"BsonOidStrategy", "FullKeyStrategy", "PartialKeyStrategy", "PartialValueStrategy",
		"ProvidedInKeyStrategy", "ProvidedInValueStrategy", "KafkaMetaDataStrategy", "UuidStrategy",
	}
	writeStrategies = []string{
		"DefaultWriteModelStrategy", "ReplaceOneDefaultStrategy", "ReplaceOneBusinessKeyStrategy", "InsertOneDefaultStrategy",
		"UpdateOneDefaultStrategy", "UpdateOneTimestampsStrategy", "UpdateOneBusinessKeyTimestampStrategy",
		"DeleteOneDefaultStrategy", "DeleteOneBusinessKeyStrategy",
	}
	handlers = []string{"PostgresHandler", "MysqlHandler", "RdbmsHandler"}
)

func definitions() []settings.Def {
	str := func(key, def, group, doc string) settings.Def {
		return settings.Def{Key: key, Type: settings.String, Default: def, Group: group, Importance: settings.Medium, Doc: doc}
	}
	flag := func(key, def, group, doc string) settings.Def {
		return settings.Def{Key: key, Type: settings.Boolean, Default: def, Group: group, Importance: settings.Medium, Doc: doc}
	}
	projection := []string{"none", "allowlist", "blocklist", "whitelist", "blacklist"}
	return []settings.Def{
		{
			Key: "connection.uri", Type: settings.Password, Required: true, Group: groupConnection, Importance: settings.High, Aliases: []string{"mongodb.connection.string"},
			Doc: "MongoDB's connection string, mongodb://user:password@host:port/?options or mongodb+srv://…, with its options for TLS, write concern and time limits.",
		},
		{
			Key: "database", Type: settings.String, Required: true, Group: groupNamespace, Importance: settings.High, Aliases: []string{"sink.database"}, Check: checkDatabase,
			Doc: "Database to write to.",
		},
		str("collection", "", groupNamespace, "Collection to write to. Empty means the topic's name."),
		str("collection.name.format", "", groupNamespace, "Pattern for the collection's name, with ${topic} for the topic's and ${table} for what follows its last dot. Only without collection."),
		{
			Key: "namespace.mapper", Type: settings.String, Default: namespaces + "DefaultNamespaceMapper", Group: groupNamespace, Importance: settings.Low,
			Check: oneOfClasses("DefaultNamespaceMapper"), Doc: "How a record's database and collection are found; only by topic.",
		},
		{
			Key: "change.data.capture.handler", Type: settings.String, Group: groupDocument, Importance: settings.Medium, Check: oneOfClasses(handlers...),
			Doc: "How change events are recognised. Under the short name empty means by themselves; under the Java class it means not at all. " +
				"Debezium's handlers (" + debezium + "rdbms.postgres.PostgresHandler and others) take the key as a document for _id and leave the key's fields out of the document.",
		},
		{
			Key: "document.id.strategy", Type: settings.String, Group: groupDocument, Importance: settings.Medium, Check: oneOfClasses(idStrategies...),
			Doc: "Where _id comes from, by the class's name in " + idPackage + ". Empty means: under the short name from the key (the value itself if the key has one field), under the Java class a new ObjectId.",
		},
		flag("document.id.strategy.overwrite.existing", "false", groupDocument, "Whether the strategy replaces an _id that the document has already."),
		{Key: "document.id.strategy.partial.key.projection.type", Type: settings.String, Default: "none", OneOf: projection, Group: groupDocument, Importance: settings.Low, Doc: "For PartialKeyStrategy: whether the list names what is taken or what is left out."},
		{Key: "document.id.strategy.partial.key.projection.list", Type: settings.List, Group: groupDocument, Importance: settings.Low, Doc: "For PartialKeyStrategy: fields of the key."},
		{Key: "document.id.strategy.partial.value.projection.type", Type: settings.String, Default: "none", OneOf: projection, Group: groupDocument, Importance: settings.Low, Doc: "For PartialValueStrategy: whether the list names what is taken or what is left out."},
		{Key: "document.id.strategy.partial.value.projection.list", Type: settings.List, Group: groupDocument, Importance: settings.Low, Doc: "For PartialValueStrategy: fields of the value."},
		{Key: "document.id.strategy.uuid.format", Type: settings.String, Default: "string", OneOf: []string{"string"}, Group: groupDocument, Importance: settings.Low, Doc: "How UuidStrategy writes an id."},
		{Key: "value.projection.type", Type: settings.String, Default: "none", OneOf: projection, Group: groupDocument, Importance: settings.Low, Doc: "Whether value.projection.list names the fields that a document gets (allowlist) or does not get (blocklist)."},
		{Key: "value.projection.list", Type: settings.List, Group: groupDocument, Importance: settings.Low, Doc: "Fields of the row, by name; those of nested structs with dots."},
		{Key: "key.projection.type", Type: settings.String, Default: "none", OneOf: projection, Group: groupDocument, Importance: settings.Low, Unsupported: "the key is not projected; use document.id.strategy.partial.key.projection.*"},
		{Key: "key.projection.list", Type: settings.List, Group: groupDocument, Importance: settings.Low, Unsupported: "the key is not projected; use document.id.strategy.partial.key.projection.*"},
		{
			Key: "post.processor.chain", Type: settings.List, Default: sinkPackage + "processor.DocumentIdAdder", Group: groupDocument, Importance: settings.Low, Check: checkProcessors,
			Doc: "Only DocumentIdAdder and the projectors, which value.projection.* turns on.",
		},
		flag("typed.values", "true", groupDocument, "Whether dates, timestamps, times and unbounded numbers are written in MongoDB's own types (dates have milliseconds) rather than in Debezium's encodings. Under the Java class the default is false."),
		{
			Key: "writemodel.strategy", Type: settings.String, Default: writes + "DefaultWriteModelStrategy", Group: groupWrites, Importance: settings.Medium, Check: oneOfClasses(writeStrategies...),
			Doc: "How a record is written, by the class's name in " + writes + "; the default replaces the document of this _id or inserts it.",
		},
		{Key: "delete.writemodel.strategy", Type: settings.String, Default: writes + "DeleteOneDefaultStrategy", Group: groupWrites, Importance: settings.Low, Check: oneOfClasses("DeleteOneDefaultStrategy"), Doc: "How a null value deletes: by _id."},
		flag("delete.on.null.values", "true", groupWrites, "Whether a record with a null value deletes the document of its key. Under the Java class the default is false."),
		{Key: "max.batch.size", Type: settings.Int, Default: "0", Group: groupWrites, Importance: settings.Medium, Doc: "Most writes in one request; 0 means as many as MongoDB takes."},
		flag("bulk.write.ordered", "false", groupWrites, "Whether records of different keys are written in the order of the log too. Records of one key always are. Under the Java class the default is true."),
		{Key: "max.num.retries", Type: settings.Int, Default: "1", Group: groupWrites, Importance: settings.Low, Ignored: "a destination that is down is waited for without end"},
		{Key: "retries.defer.timeout", Type: settings.Int, Default: "5000", Group: groupWrites, Importance: settings.Low, Ignored: "the wait between tries grows from 0.3 to 10 seconds"},
		{Key: "rate.limiting.timeout", Type: settings.Int, Default: "0", Group: groupWrites, Importance: settings.Low, Unsupported: notYet},
		{Key: "rate.limiting.every.n", Type: settings.Int, Default: "0", Group: groupWrites, Importance: settings.Low, Unsupported: notYet},
		{Key: "mongo.errors.tolerance", Type: settings.String, Group: groupWrites, Importance: settings.Low, OneOf: []string{"none", "all"}, Ignored: "errors.tolerance decides"},
		{Key: "mongo.errors.log.enable", Type: settings.Boolean, Default: "false", Group: groupWrites, Importance: settings.Low, Ignored: "errors.log.enable decides"},
		{Key: "mongo.errors.deadletterqueue.topic.name", Type: settings.String, Group: groupWrites, Importance: settings.Low, Unsupported: "set errors.deadletterqueue.topic.name"},
		{Key: "server.api.version", Type: settings.String, Group: groupConnection, Importance: settings.Low, Unsupported: notYet},
		{Key: "timeseries.timefield", Type: settings.String, Group: groupWrites, Importance: settings.Low, Unsupported: "time series collections are not supported yet"},
	}
}

func checkDatabase(text string) error {
	if text == "" || strings.ContainsAny(text, "/\\. \"$*<>:|?\x00") || len(text) > 63 {
		return errDatabase
	}
	return nil
}
