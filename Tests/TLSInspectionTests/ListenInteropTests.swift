// The PROXY protocol with haproxy on the other side: it reads what is written here, and what it writes is
// read here.

import Foundation
import TLSTestKit
import Testing

@testable import Sockets
@testable import TLSInspection

@Suite(.timeLimit(.minutes(1)))
struct ListenInteropTests {
    @Test(
        "haproxy finds the client's address and name in what is written in front of a hello",
        arguments: WatchOptions.ProxyForm.allCases
    )
    func accepted(_ form: WatchOptions.ProxyForm) async throws {
        let bench = try TestBench(now: UnixTime(seconds: TestCA.wallClock()))
        let directory = try TemporaryDirectory()
        let issued = try bench.intermediate.issue(TestBench.lasting)
        try (issued.chainPEM + issued.privateKeyPEM)
            .write(toFile: directory.path + "/cert.pem", atomically: true, encoding: .utf8)
        let answer =
            "http-request return status 200 content-type text/plain "
            + "lf-string \"%[src] %[src_port] %[fc_pp_authority]\""
        let anchors = try bench.anchors
        try await withHAProxy(
            in: directory.path,
            configuration: """
                frontend one
                    mode http
                    bind unix@%SOCKET% accept-proxy ssl crt \(directory.path)/cert.pem
                    \(answer)

                """
        ) { backend in
            var options = WatchOptions(local: SocketAddress("127.0.0.1", port: 0))
            options.routes = try RouteMap(parsing: "a.test=\(backend)")
            options.proxy = form
            let watch = try HelloWatch(options, now: bench.now)
            let running = Task { try await watch.run { _ in } }
            defer { running.cancel() }
            let client = SocketInit(type: .tls, remote: watch.localAddress) {
                $0.servername = "a.test"
                $0.trust.anchors = anchors
            }
            try await withSocket(client) { socket in
                try await socket.write("GET / HTTP/1.0\r\n\r\n")
                var text = ""
                while let piece = try await socket.read() {
                    text += String(decoding: piece, as: UTF8.self)
                }
                let port = try #require(socket.info?.local.port)
                let name = form == .v2 ? "a.test" : ""
                #expect(text.hasSuffix("\r\n\r\n127.0.0.1 \(port) \(name)"), "\(text)")
            }
        }
    }

    @Test("what haproxy writes is read", arguments: ["send-proxy", "send-proxy-v2"])
    func sent(_ option: String) async throws {
        let directory = try TemporaryDirectory()
        let place = SocketAddress("unix:" + directory.path + "/server.sock", port: 0)
        // It answers with all that came when the header is whole and something stands behind it.
        let server = SocketListenerInit(local: place)
        try await withServer(server) { socket in
            var all: [UInt8] = []
            while let piece = try await socket.read() {
                all += piece
                if let found = try ProxyHeader.read(all), all.count > found.count { break }
            }
            try await socket.write(all)
        } _: { _ in
            let checks = option == "send-proxy" ? "" : "proxy-v2-options crc32c"
            try await withHAProxy(
                in: directory.path,
                configuration: """
                    listen one
                        mode tcp
                        bind unix@%SOCKET% accept-proxy
                        server one unix@\(directory.path)/server.sock \(option) \(checks)

                    """
            ) { proxy in
                for (source, destination) in [
                    ("192.0.2.7", "198.51.100.9"), ("2001:db8::7", "2001:db8::9"),
                ] {
                    let told = ProxyHeader(
                        .v2,
                        source: SocketAddress(source, port: 1),
                        destination: SocketAddress(destination, port: 2)
                    )
                    try await withSocket(SocketInit(remote: proxy)) { socket in
                        try await socket.write(told.bytes + Array("hello".utf8))
                        var all: [UInt8] = []
                        while let piece = try await socket.read() { all += piece }
                        let found = try #require(try ProxyHeader.read(all))
                        #expect(found.header.source == told.source)
                        #expect(found.header.destination == told.destination)
                        #expect(Array(all[found.count...]) == Array("hello".utf8))
                        let type = ProxyHeader.Attribute.checksum
                        let isChecked = found.header.attributes.contains { $0.type == type }
                        #expect(isChecked == (option == "send-proxy-v2"))
                    }
                }
            }
        }
    }
}
