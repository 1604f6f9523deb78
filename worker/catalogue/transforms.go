package catalogue

import (
	"fmt"
	"strings"

	"github.com/penstock/penstock/settings"
)

// Kafka's and Debezium's transforms and predicates by their simple names, so
// that a name which is right but not available yet can be told from one that
// is wrong.
var (
	knownTransforms = strings.Fields(`
		Cast$Key Cast$Value DropHeaders ExtractField$Key ExtractField$Value Filter Flatten$Key Flatten$Value
		HeaderFrom$Key HeaderFrom$Value HoistField$Key HoistField$Value InsertField$Key InsertField$Value InsertHeader
		MaskField$Key MaskField$Value RegexRouter ReplaceField$Key ReplaceField$Value SetSchemaMetadata$Key
		SetSchemaMetadata$Value TimestampConverter$Key TimestampConverter$Value TimestampRouter ValueToKey
		ExtractNewDocumentState MongoEventRouter ReadToInsertEvent DecodeLogicalDecodingMessageContent TimescaleDb
		ByLogicalTableRouter EnforceRecordSize ExtractChangedRecordState ExtractNewRecordState ExtractSchemaToNewRecord
		GeometryFormatTransformer HeaderToValue SchemaChangeEventFilter SwapGeometryCoordinates TimezoneConverter
		VectorToJsonConverter OpenLineage EventRouter PartitionRouting ActivateTracingSpan`)
	knownPredicates = strings.Fields(`HasHeaderKey RecordIsTombstone TopicNameMatches`)
)

func simpleName(class string) string { return class[strings.LastIndexByte(class, '.')+1:] }

func isKnown(class string, names []string) bool {
	if class != simpleName(class) && !strings.HasPrefix(class, "org.apache.kafka.connect.transforms.") && !strings.HasPrefix(class, "io.debezium.") {
		return false
	}
	for _, n := range names {
		if n == simpleName(class) {
			return true
		}
	}
	return false
}

// isTransform reports whether a class is one of Kafka's or Debezium's
// transforms or predicates.
func isTransform(class string) bool {
	return isKnown(class, knownTransforms) || isKnown(class, knownPredicates)
}

// transformProblems says what is wrong with the chains transforms and
// predicates, neither of which can run yet.
func transformProblems(raw map[string]string) settings.Problems {
	var problems settings.Problems
	for _, chain := range []struct {
		key   string
		known []string
	}{{"transforms", knownTransforms}, {"predicates", knownPredicates}} {
		if noDuplicates(raw[chain.key]) != nil {
			continue // reported
		}
		for _, alias := range settings.SplitList(raw[chain.key]) {
			key := chain.key + "." + alias + ".type"
			class, set := raw[key]
			message := fmt.Sprintf("Invalid value %s for configuration %s: Penstock has no %s yet; leave it out", class, key, chain.key)
			switch {
			case !set:
				message = fmt.Sprintf("Missing required configuration %q which has no default value.", key)
			case !isKnown(class, chain.known):
				message = fmt.Sprintf("Invalid value %s for configuration %s: Class %s could not be found.", class, key, class)
			}
			problems = append(problems, settings.Problem{Key: key, Message: message})
		}
	}
	return problems
}
