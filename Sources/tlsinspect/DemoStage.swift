// The servers of the demonstration: what each is made of, and one probe of each.

import Sockets
import TLSInspection
import TLSTestKit

/// One server of the demonstration.
struct DemoScene: Sendable {
    /// What is special about it.
    var title: String
    /// The server's certificate.
    var recipe: @Sendable () -> CertificateRecipe
    /// The protocols it speaks.
    var alpn = ["http/1.1"]
    /// The newest version it speaks.
    var maximumVersion: ProtocolVersion = .tls13

    /// A server with nothing wrong.
    static let good = DemoScene(title: "in order") {
        var recipe = CertificateRecipe.server(["demo.test", "*.demo.test"])
        recipe.validity = .days(-1...90)
        return recipe
    }

    /// Servers with something amiss.
    static let faults: [DemoScene] = [
        DemoScene(title: "certificate expired") { .expired("demo.test") },
        DemoScene(title: "for another name") { .wrongHost("demo.test") },
        DemoScene(title: "self-signed") { .selfSigned("demo.test") },
        DemoScene(title: "speaks only h2", recipe: good.recipe, alpn: ["h2"]),
        DemoScene(title: "speaks only TLS 1.2", recipe: good.recipe, maximumVersion: .tls12),
    ]
}

/// The authority of the demonstration, and its servers.
struct DemoStage: Sendable {
    private static let page = "This page came over TLS from a server in the same process.\n"

    private let intermediate: TestCA
    private let root: Certificate
    private let now: UnixTime

    /// Makes the authority.
    init(now: UnixTime) throws {
        self.now = now
        let seconds = now.seconds
        let authority = try TestCA(name: "Demo Root", validity: .days(-1...3650)) { seconds }
        intermediate = try authority.intermediate(
            name: "Demo Intermediate",
            pathLength: 0,
            validity: .days(-1...1825)
        )
        root = try Certificate(der: authority.certificateDER)
    }

    /// Starts a scene's server, probes it, and asks it for a page if the probe went well.
    func inspect(_ scene: DemoScene) async throws -> (report: InspectionReport, page: String?) {
        let issued = try intermediate.issue(scene.recipe())
        let identity = try TLSIdentity(
            certificate: Array(issued.chainPEM.utf8),
            privateKey: Array(issued.privateKeyPEM.utf8)
        )
        let local = SocketAddress("127.0.0.1", port: 0)
        let listening = SocketListenerInit(type: .tls, local: local, identity: identity) {
            $0.alpn = scene.alpn
            $0.maximumVersion = scene.maximumVersion
        }
        return try await withListener(listening) { listener in
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await listener.serve { try await Self.answer($0) } }
                let probe = Probe(SocketAddress("demo.test", port: listener.localAddress.port)) {
                    $0.connect = listener.localAddress
                    $0.alpn = ["http/1.1"]
                    $0.anchors = .certificates([root])
                }
                let report = await Inspector(now: now).run(probe)
                let page = report.result == .ok ? try await fetch(listener.localAddress) : nil
                await listener.close()
                try await group.waitForAll()
                return (report, page)
            }
        }
    }

    /// Answers one HTTP/1.1 request, whatever it asks for.
    private static func answer(_ socket: Socket) async throws {
        var request: [UInt8] = []
        while let bytes = try await socket.read(upTo: 4096) {
            request += bytes
            // A request without a body ends at an empty line.
            guard request.suffix(4) != [13, 10, 13, 10], request.count < 16384 else { break }
        }
        guard !request.isEmpty else { return }
        try await socket.write(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: \(page.utf8.count)\r\n"
                + "Connection: close\r\n\r\n" + page
        )
    }

    /// Asks for the page, with the certificate verified, and gives the first line of the answer.
    private func fetch(_ address: SocketAddress) async throws -> String {
        let options = SocketInit(type: .tls, remote: address) {
            $0.servername = "demo.test"
            $0.alpn = ["http/1.1"]
            $0.trust = TrustPolicy(anchors: [root])
            $0.trust.verificationTime = now
        }
        return try await withSocket(options) { socket in
            try await socket.write("GET / HTTP/1.1\r\nHost: demo.test\r\nConnection: close\r\n\r\n")
            var answer: [UInt8] = []
            for try await chunk in try socket.stream() { answer += chunk }
            let status = String(decoding: answer.prefix { $0 != 13 }, as: UTF8.self)
            return "GET / → \(status), \(answer.count) bytes"
        }
    }
}
