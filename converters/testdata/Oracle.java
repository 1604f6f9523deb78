import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.Iterator;
import java.util.Map;
import org.apache.kafka.connect.data.Decimal;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.SchemaAndValue;
import org.apache.kafka.connect.json.JsonConverter;
import org.apache.kafka.connect.storage.Converter;
import org.apache.kafka.connect.storage.HeaderConverter;

/** Asks Kafka Connect's own converters what they read and write: one JSON case a line in, the same with the answer out. */
public class Oracle {
    static final ObjectMapper MAPPER = new ObjectMapper();

    static JsonConverter json(String... settings) {
        Map<String, Object> config = new HashMap<>();
        for (int i = 0; i < settings.length; i += 2) config.put(settings[i], settings[i + 1]);
        JsonConverter c = new JsonConverter();
        c.configure(config, false);
        return c;
    }

    public static void main(String[] args) throws Exception {
        JsonConverter plain = json("schemas.enable", "true", "replace.null.with.default", "false");
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line; (line = in.readLine()) != null; ) {
            ObjectNode c = (ObjectNode) MAPPER.readTree(line);
            try {
                Map<String, Object> config = new HashMap<>();
                if (c.has("config"))
                    for (Iterator<Map.Entry<String, JsonNode>> it = c.get("config").fields(); it.hasNext(); ) {
                        Map.Entry<String, JsonNode> e = it.next();
                        config.put(e.getKey(), e.getValue().asText());
                    }
                Object converter = Class.forName(c.get("class").asText()).getDeclaredConstructor().newInstance();
                boolean header = c.has("header");
                if (header) {
                    config.put("converter.type", "header");
                    ((HeaderConverter) converter).configure(config);
                } else {
                    ((Converter) converter).configure(config, false);
                }
                if (c.has("read")) {
                    byte[] b = c.get("read").isNull() ? null : HexFormat.of().parseHex(c.get("read").asText());
                    SchemaAndValue v = header ? ((HeaderConverter) converter).toConnectHeader("t", "h", b) : ((Converter) converter).toConnectData("t", b);
                    byte[] text = v == null ? null : plain.fromConnectData("t", v.schema(), v.value());
                    if (text == null) c.putNull("value"); else c.put("value", new String(text, StandardCharsets.UTF_8));
                } else {
                    SchemaAndValue v;
                    if (c.has("double")) v = new SchemaAndValue(Schema.FLOAT64_SCHEMA, Double.longBitsToDouble(Long.parseUnsignedLong(c.get("double").asText(), 16)));
                    else if (c.has("float")) v = new SchemaAndValue(Schema.FLOAT32_SCHEMA, Float.intBitsToFloat(Integer.parseUnsignedInt(c.get("float").asText(), 16)));
                    else if (c.has("text")) v = new SchemaAndValue(Schema.STRING_SCHEMA, new String(HexFormat.of().parseHex(c.get("text").asText()), StandardCharsets.UTF_8));
                    else if (c.has("decimal")) v = new SchemaAndValue(Decimal.schema(c.get("scale").asInt()), new BigDecimal(c.get("decimal").asText()));
                    else v = plain.toConnectData("t", c.get("write").asText().getBytes(StandardCharsets.UTF_8));
                    byte[] b = header ? ((HeaderConverter) converter).fromConnectHeader("t", "h", v.schema(), v.value()) : ((Converter) converter).fromConnectData("t", v.schema(), v.value());
                    if (b == null) c.putNull("bytes"); else c.put("bytes", HexFormat.of().formatHex(b));
                }
            } catch (Throwable e) {
                c.put("error", e.getClass().getName());
                if (e.getMessage() == null) c.putNull("message"); else c.put("message", e.getMessage());
                if (e.getCause() != null && e.getCause() != e) c.put("cause", String.valueOf(e.getCause().getMessage()).lines().findFirst().orElse(""));
            }
            System.out.println(MAPPER.writeValueAsString(c));
        }
    }
}
