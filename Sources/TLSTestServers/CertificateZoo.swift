// A badssl.com of one's own on the loopback interface: every fault of both catalogues is a host, and
// the servername chooses. The front reads the ClientHello before it decides anything; what answers is
// an engine in memory, so that one port serves certificates that no sound server would load.

public import Sockets
public import TLSTestKit

/// Every certificate and transport fault as a host of its own, on one port.
///
/// A fault is `NAME.zoo.test`, its name in lower case with hyphens: `expired.zoo.test`,
/// `missing-close-notify.zoo.test`. Any other name gets a good certificate and the index.
///
/// ```swift
/// try await CertificateZoo.run { zoo in
///     …  // connect to zoo.address, trust zoo.authority, ask for "expired.zoo.test"
/// }
/// ```
public final class CertificateZoo: Sendable {
    /// What lives behind a name.
    public enum Resident: Sendable, Hashable {
        /// A bad, odd or good certificate.
        case certificate(CertificateFault)
        /// A server that misbehaves.
        case transport(TransportFault)
    }

    /// One host.
    public struct Host: Sendable, Hashable {
        /// The name that belongs to the fault, for example `expired.zoo.test`.
        public let name: String
        /// What lives there.
        public let resident: Resident
        /// The name or address that a client asks for: for faults about names one below ``name``.
        public let target: String
        /// Whether ``target`` can be sent as a servername: without one nobody gets there.
        public let isReachable: Bool
    }

    /// The domain of all hosts.
    public static let domain = "zoo.test"

    /// Where it listens.
    public let address: SocketAddress
    /// Whom a client has to trust.
    public let authority: TestCA
    /// All hosts, certificates first.
    public let hosts: [Host]

    /// The port that the system chose.
    public var port: UInt16 { address.port }

    private init(_ address: SocketAddress, _ menagerie: Menagerie) {
        self.address = address
        authority = menagerie.authority
        hosts = menagerie.hosts
    }

    /// Opens a zoo while a closure runs.
    ///
    /// - Parameters:
    ///   - authority: The root of all correct chains; nil makes one.
    ///   - local: Where it listens; 127.0.0.1 and a port of the system's choice by default.
    ///   - pace: How long slow hosts wait.
    ///   - body: Gets the zoo.
    /// - Returns: What the closure returns.
    /// - Throws: `SocketError` of listening, `TestKitError`, or what the closure throws.
    public static func run<Result: Sendable>(
        authority: TestCA? = nil,
        at local: SocketAddress = SocketAddress("127.0.0.1", port: 0),
        pace: FaultServer.Pace = FaultServer.Pace(),
        _ body: (CertificateZoo) async throws -> Result
    ) async throws -> Result {
        let menagerie = try Menagerie(try authority ?? TestCA(name: "Zoo Root"), pace)
        return try await withServer(SocketListenerInit(local: local)) { socket in
            try await menagerie.admit(socket)
        } _: { address in
            try await body(CertificateZoo(address, menagerie))
        }
    }

    /// A fault's name as a label: `missingCloseNotify` is `missing-close-notify`.
    ///
    /// - Parameter name: The name of a fault.
    /// - Returns: The label.
    public static func label(_ name: String) -> String {
        var label = ""
        var wasUpper = true
        for character in name {
            let isUpper = character.isUppercase
            if isUpper, !wasUpper { label += "-" }
            label += character.lowercased()
            wasUpper = isUpper
        }
        return label
    }
}

/// The residents, and what they do with visitors.
private struct Menagerie: Sendable {
    let authority: TestCA
    let hosts: [CertificateZoo.Host]
    private let pace: FaultServer.Pace
    private let certificates: [String: CertificateFault]
    private let transports: [String: TransportFault]

    init(_ authority: TestCA, _ pace: FaultServer.Pace) throws {
        self.authority = authority
        self.pace = pace
        let domain = CertificateZoo.domain
        var hosts: [CertificateZoo.Host] = []
        var certificates: [String: CertificateFault] = [:]
        for fault in CertificateFault.allCases {
            let name = "\(CertificateZoo.label(fault.name)).\(domain)"
            let scenario = try fault.scenario(under: authority, host: name)
            certificates[name] = fault
            let kind = (try? ServerName(scenario.host))?.kind
            hosts.append(
                CertificateZoo.Host(
                    name: name,
                    resident: .certificate(fault),
                    target: scenario.host,
                    isReachable: kind == .dns
                        && scenario.anchorsDER.contains(authority.certificateDER)
                )
            )
        }
        var transports: [String: TransportFault] = [:]
        for fault in TransportFault.allCases {
            let name = "\(CertificateZoo.label(fault.rawValue)).\(domain)"
            transports[name] = fault
            hosts.append(
                CertificateZoo.Host(
                    name: name,
                    resident: .transport(fault),
                    target: name,
                    isReachable: true
                )
            )
        }
        self.hosts = hosts
        self.certificates = certificates
        self.transports = transports
    }

    /// A certificate for all good names; made for each visitor, so that a zoo may stay open for days.
    private func goodCertificate() throws -> IssuedCertificate {
        let domain = CertificateZoo.domain
        return try authority.issue(
            .dns(domain),
            .dns("*.\(domain)"),
            "localhost",
            "127.0.0.1",
            "::1"
        )
    }

    /// Reads a ClientHello, and hands the connection to who lives at its servername.
    func admit(_ socket: Socket) async throws {
        var bytes: [UInt8] = []
        var hello: ClientHello?
        while hello == nil {
            guard let more = try await socket.read() else { return }
            bytes += more
            hello = try ClientHello(reading: bytes)
        }
        let name = resident(of: hello?.servername)
        if let fault = name.flatMap({ transports[$0] }) {
            let version: ProtocolVersion = hello?.offers(.tls13) == true ? .tls13 : .tls12
            let spoken = fault.versions.contains(version) ? version : fault.versions[0]
            let conversation = try FaultConversation(
                fault,
                spoken,
                certificate: goodCertificate()
            )
            try await socket.converse(conversation, pace, first: bytes)
            return
        }
        guard let name, let fault = certificates[name] else {
            let server = try UncheckedServer(goodCertificate())
            let local = try await socket.ready.local
            return try await answer(socket, server, bytes) { request in
                request.target == ZooPage.rootTarget
                    ? HTTPAnswer(
                        type: "application/x-pem-file",
                        body: Array(authority.certificatePEM.utf8)
                    ) : HTTPAnswer(body: Array(ZooPage.index(hosts, at: local).utf8))
            }
        }
        let server = try fault.scenario(under: authority, host: name).server()
        try await answer(socket, server, bytes) { _ in
            HTTPAnswer(body: Array(ZooPage.page(of: fault, at: name).utf8))
        }
    }

    /// The fault whose name this is, or is below.
    private func resident(of servername: String?) -> String? {
        guard let servername else { return nil }
        var labels = servername.lowercased().split(separator: ".")[...]
        while labels.count > 2 {
            let name = labels.joined(separator: ".")
            if certificates[name] != nil || transports[name] != nil { return name }
            labels = labels.dropFirst()
        }
        return nil
    }

    /// Shakes hands, and answers one request.
    private func answer(
        _ socket: Socket,
        _ server: consuming UncheckedServer,
        _ first: [UInt8],
        _ reply: (HTTPRequest) -> HTTPAnswer
    ) async throws {
        server.isEchoing = false
        var next: [UInt8]? = first
        while let bytes = next {
            let output = server.receive(bytes)
            if !output.isEmpty { try await socket.write(output) }
            guard server.failure == nil else { return }
            if let request = try HTTPRequest(reading: server.received) {
                try await socket.write(server.send(reply(request).bytes) + server.close())
                return
            }
            next = try await socket.read()
        }
    }
}
