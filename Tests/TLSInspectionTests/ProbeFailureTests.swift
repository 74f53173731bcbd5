import Glibc
import Sockets
import TLSTestKit
import Testing

@testable import TLSInspection

@Suite(.timeLimit(.minutes(1)))
struct ProbeFailureTests {
    let bench: TestBench

    init() throws { bench = try TestBench() }

    @Test(
        "a demanded client certificate that is missing ends in the server's alert",
        arguments: [
            (ProtocolVersion.tls12, 40, "handshake_failure"), (.tls13, 116, "certificate_required"),
        ]
    )
    func missingClientCertificate(
        _ version: ProtocolVersion,
        _ number: Int,
        _ name: String
    ) async throws {
        let report = try await bench.inspect(try bench.demandingListener(newest: version))
        #expect(report.result == .alert)
        #expect(report.exit == .noHandshake)
        #expect(report.error?.alert?.number == number)
        #expect(report.error?.alert?.name == name)
        #expect(report.error?.sent == false)
        #expect(report.error?.code == "alert_received")
        #expect(report.clientCertificate == .init(requested: true, sent: false))
        if version == .tls13 {
            #expect(report.error?.phase == "client_authentication")
            #expect(report.chain.count == 2)
        }
    }

    @Test("a client certificate of a stranger is refused with an alert about it")
    func strangeClientCertificate() async throws {
        let stranger = try TestBench()
        let report = try await bench.inspect(try bench.demandingListener()) {
            $0.identity = try stranger.identity(.client("mallory"))
        }
        #expect(report.exit == .noHandshake)
        #expect(report.error?.alert?.name == "unknown_ca")
        #expect(report.clientCertificate == .init(requested: true, sent: true))
    }

    @Test("no ALPN in common is alert 120 of the server")
    func noProtocolInCommon() async throws {
        let report = try await bench.inspect(try bench.listener()) { $0.alpn = ["imap"] }
        #expect(report.result == .alert)
        #expect(report.exit == .noHandshake)
        #expect(report.error?.alert?.number == 120)
        #expect(report.error?.alert?.name == "no_application_protocol")
        #expect(report.error?.sent == false)
        #expect(report.negotiated == nil || report.negotiated?.alpn == nil)
        #expect(report.session == nil)
    }

    @Test("no version in common is alert 70 of the server")
    func noVersionInCommon() async throws {
        let options = try bench.listener { $0.minimumVersion = .tls13 }
        let report = try await bench.inspect(options) { $0.versions = .tls12 ... .tls12 }
        #expect(report.result == .alert)
        #expect(report.error?.alert?.number == 70)
        #expect(report.sent?.versions == ["TLS1.2"])
    }

    @Test("a server of plain HTTP does not speak TLS")
    func plainHTTP() async throws {
        let report = try await inspectPlain { socket in
            _ = try await socket.read()
            try await socket.write("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
        }
        #expect(report.result == .notTLS)
        #expect(report.exit == .noHandshake)
        #expect(report.error?.code == "not_tls")
        #expect(report.error?.phase == "server_hello")
        #expect(report.error?.hint != nil)
        #expect(report.target?.address == "127.0.0.1")
    }

    @Test("a server that hangs up closed the connection")
    func hangUp() async throws {
        let report = try await inspectPlain { socket in _ = try await socket.read() }
        #expect(report.result == .closed)
        #expect(report.exit == .noHandshake)
        #expect(report.error?.code == "closed_during_handshake")
        #expect(report.error?.phase == "server_hello")
    }

    @Test("silence ends at the timeout, in the phase where it was met")
    func silence() async throws {
        let report = try await inspectPlain(timeout: .milliseconds(100), serving: readToEnd)
        #expect(report.result == .timeout)
        #expect(report.exit == .noHandshake)
        #expect(report.error?.code == "handshake_timed_out")
        #expect(report.error?.phase == "server_hello")
        #expect(report.timing.connect != nil)
        #expect(report.timing.serverHello == nil)
    }

    @Test("a port where nobody listens refuses the connection")
    func refused() async throws {
        let address = try unusedAddress()
        let report = try checked(await Inspector(now: bench.now).run(Probe(address)))
        #expect(report.result == .refused)
        #expect(report.exit == .noConnection)
        #expect(report.error?.code == "connection_refused")
        #expect(report.error?.phase == "connecting")
        #expect(report.target?.address == "127.0.0.1")
        #expect(report.timing.handshake == nil)
        #expect(report.traffic == nil)
    }

    @Test("a name without an address is not resolved")
    func unresolved() async throws {
        // No name under .invalid exists, with or without a name server (RFC 6761 §6.4).
        let address = try SocketAddress(parsing: "nobody.invalid", defaultPort: 443)
        let report = try checked(await Inspector(now: bench.now).run(Probe(address)))
        #expect(report.result == .unresolved)
        #expect(report.exit == .noConnection)
        #expect(report.error?.code == "resolution_failed")
        #expect(report.error?.phase == "resolving")
        #expect(report.target?.address == nil)
        #expect(report.sent?.sni == "nobody.invalid")
    }

    @Test(
        "a probe that cannot be made is invalid, before anything is sent",
        arguments: ImpossibleProbe.allCases
    )
    func invalid(_ impossible: ImpossibleProbe) async throws {
        let address = try unusedAddress()
        let report = try checked(
            await Inspector(now: bench.now).run(Probe(address, impossible.apply))
        )
        #expect(report.result == .invalid)
        #expect(report.exit == .usage)
        #expect(report.error?.code == impossible.rawValue)
    }

    private func inspectPlain(
        timeout: Duration = .seconds(10),
        serving handler: @escaping @Sendable (Socket) async throws -> Void
    ) async throws -> InspectionReport {
        let options = SocketListenerInit(local: SocketAddress("127.0.0.1", port: 0))
        return try await withServer(options, serving: handler) { address in
            let probe = Probe(address) { $0.timeout = timeout }
            return try checked(await Inspector(now: bench.now).run(probe))
        }
    }
}

/// An address where nobody listens: its port is bound for as long as this process lives, so nobody
/// else can be given it.
func unusedAddress() throws -> SocketAddress {
    let number = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = in_addr_t(INADDR_LOOPBACK).bigEndian
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let result = unsafe withUnsafeMutablePointer(to: &address) {
        unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            unsafe bind(number, $0, size) == 0 ? getsockname(number, $0, &size) : -1
        }
    }
    try #require(result == 0)
    return SocketAddress("127.0.0.1", port: UInt16(bigEndian: address.sin_port))
}

/// A probe that cannot be made, named as its error's code.
enum ImpossibleProbe: String, CaseIterable {
    case invalidServername = "invalid_servername"
    case invalidProtocol = "invalid_application_protocol"
    case invalidOption = "invalid_option"

    func apply(_ probe: inout Probe) {
        switch self {
        case .invalidServername: probe.servername = .name("192.0.2.1")
        case .invalidProtocol: probe.alpn = ["h2", "h2"]
        case .invalidOption: probe.timeout = .zero
        }
    }
}
