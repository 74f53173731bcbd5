import Sockets
import TLSTestKit
import TLSTestServers
import Testing

@Suite(.timeLimit(.minutes(1))) struct CertificateZooTests {
    private func options(_ zoo: CertificateZoo, _ name: String) throws -> SocketInit {
        let anchor = try Certificate(der: zoo.authority.certificateDER)
        return SocketInit(type: .tls, remote: zoo.address) {
            $0.servername = name
            $0.limits.handshake = patience
            $0.trust = TrustPolicy(anchors: [anchor])
        }
    }

    /// Asks for a page.
    private func page(
        _ zoo: CertificateZoo,
        _ name: String,
        target: String = "/"
    ) async throws -> String {
        try await withSocket(try options(zoo, name)) { socket in
            try await socket.write("GET \(target) HTTP/1.1\r\nHost: \(name)\r\n\r\n")
            var answer: [UInt8] = []
            while let bytes = try await socket.read() { answer += bytes }
            return String(decoding: answer, as: UTF8.self)
        }
    }

    @Test("good names get the index, which names every host", arguments: ["zoo.test", "localhost"])
    func index(name: String) async throws {
        try await CertificateZoo.run { zoo in
            // Long names may break behind hyphens and dots.
            let page = try await page(zoo, name).replacing("<wbr>", with: "")
            #expect(page.hasPrefix("HTTP/1.1 200 OK\r\n"))
            let absent = zoo.hosts.map { $0.isReachable ? $0.target : $0.name }
                .filter { !page.contains(">\($0)<") }
            #expect(absent == [])
            #expect(page.hasSuffix("</html>\n"))
            #expect(page.contains("prefers-color-scheme: dark"))
            #expect(!page.contains("src="))
        }
    }

    @Test("the index has the root, and says where the zoo is")
    func root() async throws {
        try await CertificateZoo.run { zoo in
            let index = try await page(zoo, "zoo.test")
            #expect(index.contains("--connect-to ::\(zoo.address) "))
            #expect(index.contains("href=\"/root.pem\""))
            let root = try await page(zoo, "zoo.test", target: "/root.pem")
            #expect(root.hasSuffix("\r\n\r\n" + zoo.authority.certificatePEM))
        }
    }

    @Test("every reachable certificate is judged as its verdict says")
    func certificates() async throws {
        try await CertificateZoo.run { zoo in
            for host in zoo.hosts where host.isReachable {
                guard case .certificate(let fault) = host.resident else { continue }
                let error: SocketError?
                do {
                    let page = try await page(zoo, host.target)
                    #expect(page.contains(host.name), "\(host.name)")
                    error = nil
                } catch {
                    guard let failure = error as? SocketError else { throw error }
                    #expect(failure.code == fault.verdict.socketCode, "\(host.name): \(failure)")
                    continue
                }
                #expect(error?.code == fault.verdict.socketCode, "\(host.name)")
            }
        }
    }

    @Test("transport faults live there too")
    func transports() async throws {
        try await CertificateZoo.run { zoo in
            let cases: [(String, SocketError.Code)] = [
                ("missing-close-notify.zoo.test", .truncated),
                ("alert-unknown.zoo.test", .handshakeFailed),
                ("Reset-After-Hello.zoo.test", .peerReset),
            ]
            for (name, code) in cases {
                let error = await #expect(throws: SocketError.self) {
                    try await page(zoo, name)
                }
                #expect(error?.code == code, "\(name)")
            }
        }
    }

    @Test("names are labels of DNS, and differ")
    func names() async throws {
        #expect(CertificateZoo.label("missingCloseNotify") == "missing-close-notify")
        #expect(CertificateZoo.label("unofferedALPN") == "unoffered-alpn")
        try await CertificateZoo.run { zoo in
            #expect(Set(zoo.hosts.map(\.name)).count == zoo.hosts.count)
            let faults = CertificateFault.allCases.count + TransportFault.allCases.count
            #expect(zoo.hosts.count == faults)
            for host in zoo.hosts { #expect((try? ServerName(host.name))?.kind == .dns) }
        }
    }

    @Test("what sends no ClientHello is let go, and others are served")
    func garbage() async throws {
        try await CertificateZoo.run { zoo in
            let error = await #expect(throws: SocketError.self) {
                try await withSocket(SocketInit(remote: zoo.address)) { socket in
                    try await socket.write("GET / HTTP/1.1\r\n\r\n")
                    while try await socket.read() != nil {}
                    throw SocketError(.peerReset)
                }
            }
            #expect(error?.code == .peerReset)
            let index = try await page(zoo, "zoo.test")
            #expect(index.contains("TLS zoo"))
        }
    }
}
