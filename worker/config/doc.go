// Package config reads what the daemon is told: worker settings and declared
// connectors, from the environment, a properties file and a folder of JSON
// files.
//
// Names are Kafka Connect's. A variable PENSTOCK_X or CONNECT_X sets the
// worker setting x, PENSTOCK_CONNECTOR_<NAME>__<KEY> a setting of a connector;
// keys are lower-cased with _ read as a dot, __ as an underscore and ___ as a
// hyphen. A variable whose name ends in _FILE names a file that holds the
// value. The environment wins over the properties file, and a connector
// declared in the environment over one of the same name in the folder or in
// the config topic.
//
// Values may refer to secrets elsewhere: ${env:NAME}, ${file:/path:key},
// ${dir:/path:file}. [Providers] resolves the references when a value is used;
// what is stored and shown is the reference. So that no secret is stored or
// shown either when it stands in the environment itself, a declared
// connector's passwords become references to their variable.
//
// All problems are reported at once.
package config
