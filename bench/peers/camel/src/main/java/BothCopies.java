import com.fasterxml.jackson.databind.ObjectMapper;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import org.apache.camel.Exchange;
import org.apache.camel.builder.RouteBuilder;
import org.apache.camel.component.kafka.KafkaConstants;
import org.apache.camel.main.Main;

/** HTTP in, Kafka (acks=all), then Elasticsearch, then OK. */
public final class BothCopies extends RouteBuilder {
  private static final String OK = "{\"ActionStatus\":\"OK\",\"ErrorInfo\":\"\",\"ErrorCode\":0}";
  private static final String FAIL = "{\"ActionStatus\":\"FAIL\",\"ErrorInfo\":\"a copy could not be written\",\"ErrorCode\":503}";
  private final ObjectMapper json = new ObjectMapper();

  public static void main(String[] args) throws Exception {
    Main main = new Main();
    main.addInitialProperty("camel.server.enabled", "true");
    main.addInitialProperty("camel.server.host", "127.0.0.1");
    main.addInitialProperty("camel.server.port", System.getenv("PEER_PORT"));
    main.configure().addRoutesBuilder(new BothCopies());
    main.run(args);
  }

  @Override
  public void configure() {
    onException(Exception.class)
        .handled(true)
        .setHeader(Exchange.HTTP_RESPONSE_CODE, constant(503))
        .setBody(constant(FAIL));

    from("platform-http:/callback?httpMethodRestrict=POST")
        .convertBodyTo(String.class)
        .process(exchange -> {
          String body = exchange.getMessage().getBody(String.class);
          String groupId = json.readTree(body).required("GroupId").asText();
          exchange.getMessage().removeHeaders("*");
          exchange.getMessage().setHeader(KafkaConstants.KEY, groupId);
          // The component puts it into the URL as it is.
          exchange.getMessage().setHeader("ID", URLEncoder.encode(groupId, StandardCharsets.UTF_8));
          exchange.setProperty("callback", body);
        })
        .to("kafka:" + System.getenv("PEER_TOPIC") + "?brokers=" + System.getenv("PEER_BROKERS") + "&requestRequiredAcks=all")
        .setBody(exchangeProperty("callback"))
        .to("elasticsearch-rest-client:bench?operation=INDEX_OR_UPDATE&indexName=" + System.getenv("PEER_INDEX")
            + "&hostAddressesList=" + System.getenv("PEER_ELASTICSEARCH"))
        .removeHeaders("*")
        .setHeader(Exchange.CONTENT_TYPE, constant("application/json"))
        .setBody(constant(OK));
  }
}
