import io.socket.client.Ack;
import io.socket.client.AckWithTimeout;
import io.socket.client.IO;
import io.socket.client.Manager;
import io.socket.client.Socket;
import java.net.URI;
import java.util.Arrays;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.json.JSONArray;
import org.json.JSONObject;

/** What the official client for Java does with a server: {@code java Client URL TRANSPORTS NAMESPACE}, a line for each check. */
public class Client {
    static final int SECONDS = 10;
    static int failed = 0;

    final String url;
    final String[] transports;
    final String namespace;

    Client(String url, String[] transports, String namespace) {
        this.url = url;
        this.transports = transports;
        this.namespace = namespace;
    }

    interface Body {
        void run() throws Exception;
    }

    static void check(String what, Body body) {
        try {
            body.run();
            System.out.println("ok " + what);
        } catch (Throwable error) {
            failed++;
            System.out.println("failed " + what + ": " + error);
        }
    }

    static void expect(boolean holds, Object found) {
        if (!holds) {
            throw new IllegalStateException("found " + found);
        }
    }

    static Object[] next(BlockingQueue<Object[]> heard) throws InterruptedException {
        Object[] arguments = heard.poll(SECONDS, TimeUnit.SECONDS);
        expect(arguments != null, "nothing");
        return arguments;
    }

    static BlockingQueue<Object[]> hear(Socket socket, String event) {
        BlockingQueue<Object[]> heard = new LinkedBlockingQueue<>();
        socket.on(event, heard::add);
        return heard;
    }

    Socket open(String name, Map<String, String> auth) {
        IO.Options options = IO.Options.builder()
            .setForceNew(true)
            .setTransports(transports)
            .setAuth(auth)
            .setReconnectionDelay(50)
            .setReconnectionDelayMax(200)
            .build();
        return IO.socket(URI.create(url + name), options);
    }

    void run() {
        Socket socket = open(namespace, Map.of("token", "äbc"));
        BlockingQueue<Object[]> connected = hear(socket, Socket.EVENT_CONNECT);
        BlockingQueue<Object[]> disconnected = hear(socket, Socket.EVENT_DISCONNECT);
        BlockingQueue<Object[]> auth = hear(socket, "auth");
        BlockingQueue<Object[]> echo = hear(socket, "echo");
        BlockingQueue<Object[]> answer = hear(socket, "answer");
        BlockingQueue<Object[]> numbers = hear(socket, "number");
        BlockingQueue<Object[]> room = hear(socket, "room");
        socket.on("question", arguments -> {
            Ack ack = (Ack) arguments[arguments.length - 1];
            ack.call(arguments[0], "seen", new byte[] {9});
        });

        check("connects, with auth", () -> {
            socket.connect();
            next(connected);
            JSONObject given = (JSONObject) next(auth)[0];
            expect(given.getString("token").equals("äbc"), given);
        });
        check("values come back", () -> {
            socket.emit("echo", 1, "zwei€😀", 3.5, true, JSONObject.NULL);
            Object[] back = next(echo);
            expect(back.length == 5 && back[0].equals(1) && back[1].equals("zwei€😀"), Arrays.toString(back));
        });
        check("binary data comes back from within", () -> {
            byte[] large = new byte[100_000];
            new Random(1).nextBytes(large);
            JSONObject value = new JSONObject();
            value.put("deep", new JSONArray().put(large).put(new byte[0]));
            socket.emit("echo", value, large);
            Object[] back = next(echo);
            JSONArray deep = ((JSONObject) back[0]).getJSONArray("deep");
            expect(Arrays.equals((byte[]) deep.get(0), large), "another value within");
            expect(((byte[]) deep.get(1)).length == 0, "a value that is not empty");
            expect(Arrays.equals((byte[]) back[1], large), "another value");
        });
        check("acknowledgements have several values", () -> {
            BlockingQueue<Object[]> answers = new LinkedBlockingQueue<>();
            socket.emit("echo_ack", new Object[] {"x", new byte[] {1, 2, 3}}, (Ack) answers::add);
            Object[] back = next(answers);
            expect(back.length == 2 && ((byte[]) back[1])[2] == 3, Arrays.toString(back));
        });
        check("an acknowledgement that does not come times out", () -> {
            BlockingQueue<Object[]> answers = new LinkedBlockingQueue<>();
            socket.emit("silent", new Object[] {}, new AckWithTimeout(200) {
                @Override
                public void onSuccess(Object... arguments) {
                    answers.add(new Object[] {"answered"});
                }

                @Override
                public void onTimeout() {
                    answers.add(new Object[] {"timed out"});
                }
            });
            Object[] back = next(answers);
            expect(back[0].equals("timed out"), back[0]);
        });
        check("the server's acknowledgement comes back", () -> {
            socket.emit("ask_me", "q");
            JSONArray back = (JSONArray) next(answer)[0];
            expect(back.get(0).equals("q") && ((byte[]) back.get(2))[0] == 9, back);
        });
        check("two thousand events come in order", () -> {
            socket.emit("many", 2000);
            for (int number = 0; number < 2000; number++) {
                Object[] back = next(numbers);
                expect(back[0].equals(number) && ((byte[]) back[1]).length == number % 50, back[0]);
            }
        });
        check("a room is heard", () -> {
            socket.emit("join", "r1");
            socket.emit("to_room", "r1", "hi");
            expect(next(room)[0].equals("hi"), "another value");
        });
        check("pings are answered", () -> {
            Thread.sleep(2500);
            expect(socket.connected() && disconnected.isEmpty(), "a disconnect");
        });
        check("it comes back when the line breaks", () -> {
            socket.emit("abort");
            String reason = (String) next(disconnected)[0];
            expect(reason.startsWith("transport "), reason);
            next(connected);
            next(auth);
            socket.emit("echo", "again");
            expect(next(echo)[0].equals("again"), "another value");
        });
        check("it stays away when the server disconnects it", () -> {
            socket.emit("kick");
            Object reason = next(disconnected)[0];
            expect(reason.equals("io server disconnect"), reason);
            Thread.sleep(300);
            expect(!socket.connected(), "a connection");
        });
        check("it connects again by hand", () -> {
            socket.connect();
            next(connected);
            socket.emit("echo", "back");
            expect(next(echo)[0].equals("back"), "another value");
        });
        check("it disconnects", () -> {
            socket.disconnect();
            Object reason = next(disconnected)[0];
            expect(reason.equals("io client disconnect"), reason);
        });
        check("a refusal has its message and data", () -> {
            Socket refused = open(namespace, Map.of("no", "1"));
            BlockingQueue<Object[]> errors = hear(refused, Socket.EVENT_CONNECT_ERROR);
            refused.connect();
            JSONObject error = (JSONObject) next(errors)[0];
            expect(error.getString("message").equals("not you"), error);
            expect(error.getJSONObject("data").getInt("code") == 7, error);
            refused.disconnect();
        });
        check("an unknown namespace is refused", () -> {
            Socket refused = open("/nowhere", null);
            BlockingQueue<Object[]> errors = hear(refused, Socket.EVENT_CONNECT_ERROR);
            refused.connect();
            Object error = next(errors)[0];
            expect(error.toString().contains("Invalid namespace"), error);
            refused.disconnect();
        });
        check("namespaces share a connection", () -> {
            Manager manager = new Manager(URI.create(url), IO.Options.builder().setTransports(transports).build());
            Socket one = manager.socket("/");
            Socket other = manager.socket("/chat");
            BlockingQueue<Object[]> oneHeard = hear(one, "echo");
            BlockingQueue<Object[]> otherHeard = hear(other, "echo");
            one.connect();
            other.connect();
            one.emit("echo", 1);
            other.emit("echo", 2);
            expect(next(oneHeard)[0].equals(1) && next(otherHeard)[0].equals(2), "mixed values");
            one.disconnect();
            other.emit("echo", 3);
            expect(next(otherHeard)[0].equals(3), "another value");
            other.disconnect();
        });
    }

    public static void main(String[] arguments) {
        new Client(arguments[0], arguments[1].split(","), arguments[2]).run();
        System.exit(failed == 0 ? 0 : 1);
    }
}
