// TLS by Java's JSSE. Reads commands from standard input, one a line, and reports in lines of JSON;
// the commands, the reports and their words are described in README.md beside this file.
//
// TLS lies over a socket of its own, so that TCP can end without a word of TLS.

import java.io.*;
import java.net.*;
import java.nio.file.*;
import java.security.*;
import java.security.cert.*;
import java.security.cert.Certificate;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.*;
import java.util.stream.*;
import javax.net.ssl.*;

class Peer {
    private static final InetAddress LOOPBACK = InetAddress.getLoopbackAddress();

    private final Map<String, String> command;
    private Socket tcp;
    private SSLSocket tls;

    private Peer(Map<String, String> command) {
        this.command = command;
    }

    public static void main(String[] arguments) throws IOException {
        print("event", "started", "version", "Java " + System.getProperty("java.version"));
        var input = new BufferedReader(new InputStreamReader(System.in));
        for (var line = input.readLine(); line != null; line = input.readLine()) {
            var command = Arrays.stream(line.split("\t")).map(field -> field.split("=", 2))
                .collect(Collectors.toMap(parts -> parts[0], parts -> parts[1]));
            new Thread(new Peer(command)::run).start();
        }
        System.exit(0);
    }

    // Life of a command

    private void run() {
        try {
            open();
            tls.startHandshake();
            reportHandshake();
            var seen = act();
            tcp.close();
            report("done", seen);
        } catch (Exception error) {
            report("failed", "error", error.getClass().getSimpleName() + ": " + error.getMessage());
        }
    }

    private void open() throws Exception {
        var factory = context().getSocketFactory();
        var isServer = command.get("role").equals("server");
        if (isServer) {
            try (var listener = new ServerSocket(0, 1, LOOPBACK)) {
                report("listening", "port", listener.getLocalPort());
                tcp = listener.accept();
            }
            tls = (SSLSocket) factory.createSocket(tcp, (InputStream) null, false);
        } else {
            tcp = new Socket(LOOPBACK, Integer.parseInt(command.get("port")));
            var name = command.getOrDefault("servername", LOOPBACK.getHostAddress());
            tls = (SSLSocket) factory.createSocket(tcp, name, tcp.getPort(), false);
        }
        var parameters = tls.getSSLParameters();
        parameters.setProtocols(new String[] {"TLSv" + command.get("version")});
        if (command.containsKey("alpn")) {
            parameters.setApplicationProtocols(command.get("alpn").split(","));
        }
        if (isServer) {
            parameters.setWantClientAuth(command.get("clients").equals("request"));
            if (command.get("clients").equals("require")) parameters.setNeedClientAuth(true);
        } else if (command.containsKey("servername")) {
            parameters.setEndpointIdentificationAlgorithm("HTTPS");
        }
        tls.setSSLParameters(parameters);
    }

    private void reportHandshake() {
        var session = (ExtendedSSLSession) tls.getSession();
        String client = null;
        String servername = null;
        if (command.get("role").equals("server")) {
            try {
                var subject = session.getPeerPrincipal().getName();
                client = subject.replaceFirst(".*CN=([^,]*).*", "$1");
            } catch (SSLPeerUnverifiedException none) {
                // The client showed no certificate.
            }
            for (var name : session.getRequestedServerNames()) {
                servername = ((SNIHostName) name).getAsciiName();
            }
        }
        var protocol = tls.getApplicationProtocol();
        report(
            "ready", "version", session.getProtocol(), "cipher", session.getCipherSuite(),
            "alpn", protocol.isEmpty() ? null : protocol, "servername", servername, "client", client
        );
    }

    // What is done with a connection

    private Object[] act() throws Exception {
        switch (command.get("act")) {
            case "echo": {
                var seen = read((chunk, count) -> {
                    var size = Integer.parseInt(command.getOrDefault("piece", "" + count));
                    for (int at = 0; at < count; at += size) {
                        tls.getOutputStream().write(chunk, at, Math.min(size, count - at));
                    }
                });
                tls.shutdownOutput();
                return seen;
            }
            case "answer": {
                var seen = read((chunk, count) -> {});
                tls.getOutputStream().write(((String) seen[3]).getBytes());
                tls.shutdownOutput();
                return seen;
            }
            case "greet":
                tls.getOutputStream().write("greeting".getBytes());
                tls.shutdownOutput();
                return read((chunk, count) -> {});
            case "cut": {
                var count = tls.getInputStream().read(new byte[1 << 16]);
                tls.getOutputStream().write("hello".getBytes());
                return new Object[] {"bytes", count};
            }
            case "request":
                tls.getOutputStream().write(Files.readAllBytes(Path.of(command.get("send"))));
                return read((chunk, count) -> {});
            default:
                throw new IllegalArgumentException(command.get("act"));
        }
    }

    private interface Use {
        void of(byte[] chunk, int count) throws IOException;
    }

    private Object[] read(Use use) throws Exception {
        var digest = MessageDigest.getInstance("SHA-256");
        var head = new ByteArrayOutputStream();
        var chunk = new byte[1 << 16];
        var input = tls.getInputStream();
        var bytes = 0;
        var end = "clean";
        while (true) {
            int count;
            try {
                count = input.read(chunk);
            } catch (SSLException error) {
                if (!(error.getCause() instanceof EOFException)) throw error;
                end = "cut";
                break;
            }
            if (count < 0) break;
            digest.update(chunk, 0, count);
            head.write(chunk, 0, Math.max(0, Math.min(count, 4096 - head.size())));
            bytes += count;
            use.of(chunk, count);
        }
        return new Object[] {
            "bytes", bytes, "sha256", HexFormat.of().formatHex(digest.digest()),
            "head", Base64.getEncoder().encodeToString(head.toByteArray()), "end", end,
        };
    }

    // Certificates and keys

    private SSLContext context() throws Exception {
        KeyManager[] keys = null;
        if (command.containsKey("chain")) {
            var chain = certificates(command.get("chain"));
            // Text may stand in front of the first line of PEM.
            var pem = Files.readString(Path.of(command.get("key")))
                .replaceFirst("(?s).*-----BEGIN PRIVATE KEY-----", "")
                .replace("-----END PRIVATE KEY-----", "");
            var key = KeyFactory.getInstance(chain[0].getPublicKey().getAlgorithm())
                .generatePrivate(new PKCS8EncodedKeySpec(Base64.getMimeDecoder().decode(pem)));
            var store = KeyStore.getInstance("PKCS12");
            store.load(null, null);
            store.setKeyEntry("it", key, new char[0], chain);
            var factory = KeyManagerFactory.getInstance("PKIX");
            factory.init(store, new char[0]);
            keys = factory.getKeyManagers();
        }
        TrustManager[] trust = null;
        if (command.containsKey("roots")) {
            var store = KeyStore.getInstance("PKCS12");
            store.load(null, null);
            for (var root : certificates(command.get("roots"))) {
                store.setCertificateEntry("root", root);
            }
            var factory = TrustManagerFactory.getInstance("PKIX");
            factory.init(store);
            trust = factory.getTrustManagers();
        }
        var context = SSLContext.getInstance("TLS");
        context.init(keys, trust, null);
        return context;
    }

    private static Certificate[] certificates(String file) throws Exception {
        try (var stream = new FileInputStream(file)) {
            return CertificateFactory.getInstance("X.509").generateCertificates(stream)
                .toArray(new Certificate[0]);
        }
    }

    // Reports

    private void report(String event, Object... facts) {
        var all = new ArrayList<Object>(List.of("id", Integer.valueOf(command.get("id"))));
        all.addAll(List.of("event", event));
        all.addAll(Arrays.asList(facts));
        print(all.toArray());
    }

    private static synchronized void print(Object... facts) {
        var fields = IntStream.range(0, facts.length / 2)
            .mapToObj(index -> quote(facts[index * 2]) + ": " + quote(facts[index * 2 + 1]));
        System.out.println(fields.collect(Collectors.joining(", ", "{", "}")));
    }

    private static String quote(Object value) {
        if (!(value instanceof String)) return String.valueOf(value);
        var text = (String) value;
        return '"' + text.replace("\\", "\\\\").replace("\"", "\\\"").replace("\n", " ") + '"';
    }
}
