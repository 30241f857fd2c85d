import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** A loop by hand: poll, convert, send, await the acknowledgements, commit every half second. */
public final class Loop {
    public static void main(String[] arguments) throws Exception {
        Properties options = new Properties();
        options.put("bootstrap.servers", arguments[0]);
        options.put("group.id", arguments[3]);
        options.put("auto.offset.reset", "earliest");
        options.put("enable.auto.commit", false);
        options.put("max.poll.records", 2000);
        options.put("acks", "all");
        options.put("enable.idempotence", true);
        options.put("linger.ms", 5);
        options.put("batch.size", 262_144);
        Job job = new Job();
        try (var consumer = new KafkaConsumer<>(only(options, true), new ByteArrayDeserializer(), new ByteArrayDeserializer());
            var producer = new KafkaProducer<>(only(options, false), new ByteArraySerializer(), new ByteArraySerializer())) {
            consumer.subscribe(List.of(arguments[1]));
            Map<TopicPartition, OffsetAndMetadata> done = new HashMap<>();
            long committed = System.nanoTime();
            while (true) {
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(200))) {
                    producer.send(new ProducerRecord<>(arguments[2], record.key(), job.convert(record.value())));
                    done.put(
                        new TopicPartition(record.topic(), record.partition()), new OffsetAndMetadata(record.offset() + 1));
                }
                if (!done.isEmpty() && System.nanoTime() - committed > 500_000_000L) {
                    producer.flush();
                    consumer.commitSync(done);
                    done.clear();
                    committed = System.nanoTime();
                }
            }
        }
    }

    /** Keep a client's own settings: each warns of the other's. */
    private static Properties only(Properties all, boolean consumer) {
        var mine = List.of("group.id", "auto.offset.reset", "enable.auto.commit", "max.poll.records");
        Properties kept = new Properties();
        all.forEach((key, value) -> {
            if (key.equals("bootstrap.servers") || mine.contains(key) == consumer) {
                kept.put(key, value);
            }
        });
        return kept;
    }
}
