import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.ObjectReader;
import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.IOException;
import java.time.LocalDate;
import java.time.OffsetDateTime;
import java.util.Set;
import java.util.regex.Pattern;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.EncoderFactory;

/** The job that every peer does: a booking in JSON, validated, to Avro in the Confluent frame. Not thread-safe. */
final class Job {
    record Meal(String date, String activity, String label, Boolean waiting) {}

    record Booking(String id, String kind, String at, String child, String school, Meal meal) {}

    private static final Set<String> ACTIVITIES = Set.of("LUNCH", "MORNING_CARE", "EVENING_CARE");
    private static final Pattern CHILD = Pattern.compile("E\\d{1,9}");

    private final ObjectReader reader =
        new ObjectMapper().configure(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES, false).readerFor(Booking.class);
    private final Schema schema;
    private final byte[] frame;
    private final GenericDatumWriter<GenericRecord> writer;
    private final ByteArrayOutputStream out = new ByteArrayOutputStream(256);
    private BinaryEncoder encoder;

    Job() throws IOException {
        schema = new Schema.Parser().parse(new File(System.getenv("BENCH_SCHEMA")));
        int id = Integer.parseInt(System.getenv("BENCH_SCHEMA_ID"));
        frame = new byte[] {0, (byte) (id >>> 24), (byte) (id >>> 16), (byte) (id >>> 8), (byte) id};
        writer = new GenericDatumWriter<>(schema);
    }

    byte[] convert(byte[] value) {
        try {
            Booking booking = reader.readValue(value);
            Meal meal = booking.meal();
            OffsetDateTime.parse(booking.at());
            check(booking.id().length() <= 64 && booking.kind().equals("booked") && booking.school() != null);
            check(CHILD.matcher(booking.child()).matches());
            check(meal.label().length() <= 200 && ACTIVITIES.contains(meal.activity()));
            GenericRecord record = new GenericData.Record(schema);
            record.put("booking_id", booking.id());
            record.put("meal_date", (int) LocalDate.parse(meal.date()).toEpochDay());
            record.put("activity", new GenericData.EnumSymbol(schema.getField("activity").schema(), meal.activity()));
            record.put("label", meal.label());
            record.put("waiting_list", meal.waiting());
            out.reset();
            out.write(frame);
            encoder = EncoderFactory.get().directBinaryEncoder(out, encoder);
            writer.write(record, encoder);
            encoder.flush();
            return out.toByteArray();
        } catch (IOException error) {
            throw new IllegalArgumentException("not a booking", error);
        }
    }

    private static void check(boolean holds) {
        if (!holds) {
            throw new IllegalArgumentException("not a booking");
        }
    }
}
