package elasticsearch

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/penstock/penstock/settings"
)

const (
	groupConnector = "Connector"
	groupData      = "Data Conversion"
	groupSecurity  = "Security"

	noStreams  = "data streams are not supported yet; write to an index"
	noProxy    = "proxies are not supported yet; HTTPS_PROXY of the environment is used"
	noKerberos = "Kerberos is not supported; use connection.username and connection.password"
	oneWriter  = "batches are formed by the task; see consumer.override.max.poll.records"
)

func definitions() []settings.Def {
	return []settings.Def{
		{
			Key: "connection.url", Type: settings.List, Required: true, Group: groupConnector, Importance: settings.High, Check: checkURLs,
			Doc: "Addresses of Elasticsearch, such as https://es1:9200,https://es2:9200. All have to belong to one cluster.",
		},
		{Key: "connection.username", Type: settings.String, Group: groupConnector, Importance: settings.Medium, Doc: "User to log in as. Empty means no login."},
		{Key: "connection.password", Type: settings.Password, Group: groupConnector, Importance: settings.Medium, Doc: "The user's password."},
		{Key: "connection.api.key", Type: settings.Password, Group: groupConnector, Importance: settings.Medium, Doc: "API key in its encoded form, instead of a user."},
		{Key: "connection.timeout.ms", Type: settings.Int, Default: "1000", Group: groupConnector, Importance: settings.Low, Check: positive, Doc: "Milliseconds that opening a connection may take."},
		{Key: "read.timeout.ms", Type: settings.Int, Default: "30000", Group: groupConnector, Importance: settings.Low, Check: positive, Doc: "Milliseconds to wait for the answer to a request; sending it and reading the answer may take as long again."},
		{Key: "connection.compression", Type: settings.Boolean, Default: "false", Group: groupConnector, Importance: settings.Low, Doc: "Whether requests are compressed."},
		{Key: "max.connection.idle.time.ms", Type: settings.Int, Default: "60000", Group: groupConnector, Importance: settings.Low, Doc: "Milliseconds after which an idle connection is closed."},
		{Key: "batch.size", Type: settings.Int, Default: "2000", Group: groupConnector, Importance: settings.Medium, Check: positive, Doc: "Most documents in one bulk request."},
		{Key: "bulk.size.bytes", Type: settings.Long, Default: "5242880", Group: groupConnector, Importance: settings.Low, Check: positive, Doc: "Most bytes of one bulk request, unless one document is larger."},
		{Key: "max.in.flight.requests", Type: settings.Int, Default: "5", Group: groupConnector, Importance: settings.Medium, Check: positive, Doc: "Most bulk requests of one task at a time. Records of one key are never in two of them."},
		{Key: "max.retries", Type: settings.Int, Default: "5", Group: groupConnector, Importance: settings.Low, Check: notNegative, Doc: "How often a request or document that Elasticsearch was too busy for is sent again before the task says that it waits, and waits on."},
		{Key: "retry.backoff.ms", Type: settings.Long, Default: "100", Group: groupConnector, Importance: settings.Low, Check: notNegative, Doc: "Milliseconds before the first of these retries; doubled each time. Retry-After of an answer goes before."},
		{Key: "max.buffered.records", Type: settings.Int, Default: "20000", Group: groupConnector, Importance: settings.Low, Ignored: oneWriter},
		{Key: "linger.ms", Type: settings.Long, Default: "1", Group: groupConnector, Importance: settings.Low, Ignored: oneWriter},
		{Key: "flush.timeout.ms", Type: settings.Long, Default: "180000", Group: groupConnector, Importance: settings.Low, Ignored: oneWriter},
		{Key: "flush.synchronously", Type: settings.Boolean, Default: "false", Group: groupConnector, Importance: settings.Low, Ignored: "offsets are never committed before the documents are written"},
		{Key: "log.sensitive.data", Type: settings.Boolean, Default: "false", Group: groupConnector, Importance: settings.Low, Ignored: "documents are never logged"},

		{
			Key: "index.name", Type: settings.String, Default: "${topic}", Group: groupData, Importance: settings.Medium, Check: checkIndexName,
			Doc: "Pattern for the index's name, with ${topic} for the topic's and ${table} for what follows its last dot. It is put into lower case, as Elasticsearch asks for.",
		},
		{
			Key: "external.resource.usage", Type: settings.String, Default: "DISABLED", OneOf: []string{"DISABLED", "INDEX", "ALIAS_INDEX", "DATASTREAM", "ALIAS_DATASTREAM"}, Group: groupData, Importance: settings.Medium, Check: checkResource,
			Doc: "INDEX or ALIAS_INDEX: the indices or aliases of topic.to.external.resource.mapping are used as they are, and nothing is created.",
		},
		{
			Key: "topic.to.external.resource.mapping", Type: settings.List, Group: groupData, Importance: settings.Medium, Aliases: []string{"topic.to.resource.mapping"},
			Doc: "Pairs topic:index, separated by commas.",
		},
		{Key: "key.ignore", Type: settings.Boolean, Default: "false", Group: groupData, Importance: settings.High, Doc: "Whether _id is made of topic, partition and offset instead of the record's key. Every record is a document of its own then."},
		{Key: "topic.key.ignore", Type: settings.List, Group: groupData, Importance: settings.Low, Doc: "Topics for which key.ignore is true whatever it says."},
		{Key: "schema.ignore", Type: settings.Boolean, Default: "false", Group: groupData, Importance: settings.Low, Doc: "Whether Elasticsearch guesses the types of fields instead of being told by the record's schema."},
		{Key: "topic.schema.ignore", Type: settings.List, Group: groupData, Importance: settings.Low, Doc: "Topics for which schema.ignore is true whatever it says."},
		{Key: "use.autogenerated.ids", Type: settings.Boolean, Default: "false", Group: groupData, Importance: settings.Low, Doc: "With key.ignore: whether Elasticsearch makes the _id. A record that is read twice is two documents then."},
		{Key: "unwrap.envelopes", Type: settings.Boolean, Default: "true", Group: groupData, Importance: settings.Medium, Doc: "Whether the row is taken out of Debezium's envelope. Under the Java class the default is false."},
		{Key: "typed.values", Type: settings.Boolean, Default: "true", Group: groupData, Importance: settings.Medium, Doc: "Whether dates, times and unbounded numbers are written as ISO-8601 text and numbers rather than in Debezium's encodings. Under the Java class the default is false."},
		{Key: "compact.map.entries", Type: settings.Boolean, Default: "true", Group: groupData, Importance: settings.Low, Doc: "Whether a map is an object; otherwise it is a list of objects with key and value."},
		{Key: "drop.invalid.message", Type: settings.Boolean, Default: "false", Group: groupData, Importance: settings.Low, Doc: "Whether a record that cannot be made a document is dropped with a log entry."},
		{Key: "behavior.on.null.values", Type: settings.String, Default: "delete", OneOf: []string{"ignore", "delete", "fail"}, Group: groupData, Importance: settings.Low, Doc: "What a record with a null value does. Under the Java class the default is fail."},
		{Key: "behavior.on.malformed.documents", Type: settings.String, Default: "fail", OneOf: []string{"ignore", "warn", "fail"}, Group: groupData, Importance: settings.Low, Doc: "What a document does that Elasticsearch refuses for its content: fail leaves it to errors.tolerance."},
		{Key: "write.method", Type: settings.String, Default: "insert", OneOf: []string{"insert", "upsert"}, Group: groupData, Importance: settings.Low, Doc: "insert replaces the whole document; upsert changes the fields that the record has, without versions."},
		{Key: "external.version.header", Type: settings.String, Group: groupData, Importance: settings.Low, Doc: "Header whose number is the document's version instead of the record's offset."},
		{Key: "type.name", Type: settings.String, Group: groupData, Importance: settings.Low, Ignored: "Elasticsearch has no types any more"},

		{Key: "elastic.security.protocol", Type: settings.String, Default: "PLAINTEXT", OneOf: []string{"PLAINTEXT", "SSL"}, Group: groupSecurity, Importance: settings.Medium, Doc: "SSL uses elastic.https.ssl.* for https addresses. Without it the system's authorities are trusted."},
		{Key: "elastic.https.ssl.truststore.location", Type: settings.String, Group: groupSecurity, Importance: settings.Medium, Doc: "File with the authorities that sign Elasticsearch's certificates, in PEM or PKCS12."},
		{Key: "elastic.https.ssl.truststore.password", Type: settings.Password, Group: groupSecurity, Importance: settings.Medium, Doc: "Password of a PKCS12 trust store."},
		{Key: "elastic.https.ssl.truststore.type", Type: settings.String, Group: groupSecurity, Importance: settings.Low, Ignored: "the file's content tells PEM from PKCS12"},
		{Key: "elastic.https.ssl.keystore.location", Type: settings.String, Group: groupSecurity, Importance: settings.Medium, Doc: "File with this client's certificate chain and private key, in PEM or PKCS12."},
		{Key: "elastic.https.ssl.keystore.password", Type: settings.Password, Group: groupSecurity, Importance: settings.Medium, Doc: "Password of a PKCS12 key store."},
		{Key: "elastic.https.ssl.keystore.type", Type: settings.String, Group: groupSecurity, Importance: settings.Low, Ignored: "the file's content tells PEM from PKCS12"},
		{Key: "elastic.https.ssl.key.password", Type: settings.Password, Group: groupSecurity, Importance: settings.Medium, Ignored: "elastic.https.ssl.keystore.password opens a PKCS12 store with its key"},
		{Key: "elastic.https.ssl.endpoint.identification.algorithm", Type: settings.String, Default: "https", Group: groupSecurity, Importance: settings.Low, Doc: "https checks that the certificate names the host; empty does not."},
		{Key: "elastic.https.ssl.protocol", Type: settings.String, Group: groupSecurity, Importance: settings.Low, Ignored: "TLS 1.2 or newer is used"},
		{Key: "proxy.host", Type: settings.String, Group: groupSecurity, Importance: settings.Low, Unsupported: noProxy},
		{Key: "proxy.port", Type: settings.Int, Default: "8080", Group: groupSecurity, Importance: settings.Low, Unsupported: noProxy},
		{Key: "proxy.username", Type: settings.String, Group: groupSecurity, Importance: settings.Low, Unsupported: noProxy},
		{Key: "proxy.password", Type: settings.Password, Group: groupSecurity, Importance: settings.Low, Unsupported: noProxy},
		{Key: "kerberos.user.principal", Type: settings.String, Group: groupSecurity, Importance: settings.Low, Unsupported: noKerberos},
		{Key: "kerberos.keytab.path", Type: settings.String, Group: groupSecurity, Importance: settings.Low, Unsupported: noKerberos},
		{Key: "data.stream.type", Type: settings.String, Default: "none", Group: groupData, Importance: settings.Low, Unsupported: noStreams},
		{Key: "data.stream.dataset", Type: settings.String, Group: groupData, Importance: settings.Low, Unsupported: noStreams},
		{Key: "data.stream.namespace", Type: settings.String, Default: "${topic}", Group: groupData, Importance: settings.Low, Unsupported: noStreams},
		{Key: "data.stream.timestamp.field", Type: settings.List, Group: groupData, Importance: settings.Low, Unsupported: noStreams},
	}
}

func checkURLs(text string) error {
	for _, entry := range settings.SplitList(text) {
		u, err := url.Parse(entry)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return fmt.Errorf("an address has the form http://host:9200 or https://host:9200")
		}
		if u.User != nil {
			return fmt.Errorf("put the user and the password into connection.username and connection.password")
		}
	}
	return nil
}

func checkResource(text string) error {
	if strings.Contains(strings.ToUpper(text), "DATASTREAM") {
		return fmt.Errorf("%s", noStreams)
	}
	return nil
}

func checkIndexName(text string) error {
	name := indexName(strings.NewReplacer("${topic}", "t", "${table}", "t").Replace(text))
	if name == "" || strings.ContainsAny(name, `$\/*?"<>| ,#:`) {
		return fmt.Errorf(`an index's name is not empty after leading "-", "_" and "+" are taken away, and has no space and none of \/*?"<>|,#: in it; of $, only ${topic} and ${table} stand for something`)
	}
	return nil
}

func notNegative(text string) error {
	if strings.HasPrefix(text, "-") {
		return fmt.Errorf("it must not be negative")
	}
	return nil
}

func positive(text string) error {
	if text == "0" || strings.HasPrefix(text, "-") {
		return fmt.Errorf("it must be at least 1")
	}
	return nil
}
