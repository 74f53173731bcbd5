// An OCSP responder (RFC 6960 Appendix A) on the loopback interface: what it says of each certificate
// is set by the test, and so is what is wrong with how it says it.

public import Sockets
import Synchronization
public import TLSTestKit

/// An OCSP responder for one authority that exists while a closure runs.
///
/// ```swift
/// try await OCSPResponder.run(for: authority) { responder in
///     let leaf = try responder.issue("a.test")
///     responder[leaf] = .revoked()
///     …  // whoever asks responder.url now hears that
///     #expect(responder.requests.count == 1)
/// }
/// ```
///
/// It takes requests by POST and GET. Certificates it was not told about are unknown to it, and those
/// of other issuers it has no authority for.
public final class OCSPResponder: Sendable {
    /// How it answers.
    public enum Behaviour: Sendable {
        /// As it should.
        case correct
        /// Correctly but for what a closure changes in the response.
        case bent(@Sendable (inout OCSPAnswerRecipe) throws -> Void)
        /// Always with this, whatever was asked.
        case answer(OCSPAnswer)
        /// With an HTTP status and no response.
        case httpStatus(Int)
        /// Not at all: the connection stays open.
        case silent
        /// Correctly, after a pause.
        case slow(Duration)
        /// With HTTP status 200 and a page in HTML.
        case webPage
        /// Correctly, and the stream ends half way through the response.
        case cut
    }

    /// One request that came.
    public struct Request: Sendable, Hashable {
        /// The HTTP method.
        public let method: String
        /// The HTTP target: with GET it holds the request in base64.
        public let target: String
        /// What was asked; nil when it could not be read.
        public let question: OCSPRequest?
    }

    fileprivate struct State {
        var statuses: [[UInt8]: OCSPStatus] = [:]
        var behaviour = Behaviour.correct
    }

    /// Whose certificates it answers for.
    public let authority: TestCA
    /// Where it listens.
    public let address: SocketAddress
    private let core: Core

    /// What connections share.
    fileprivate final class Core: Sendable {
        let authority: TestCA
        let state = Mutex(State())
        let requests = Journal<Request>()

        init(_ authority: TestCA) { self.authority = authority }
    }

    /// Its URL, as it stands in the authorityInfoAccess of certificates.
    public var url: String { "http://\(address)/" }
    /// The port that the system chose.
    public var port: UInt16 { address.port }
    /// The requests so far, in order.
    public var requests: [Request] { core.requests.entries }

    /// How it answers; correctly at first.
    public var behaviour: Behaviour {
        get { core.state.withLock { $0.behaviour } }
        set { core.state.withLock { $0.behaviour = newValue } }
    }

    /// What it says of a certificate of its authority; nil for one it does not know.
    public subscript(certificate: IssuedCertificate) -> OCSPStatus? {
        get { core.state.withLock { $0.statuses[certificate.serial] } }
        set { core.state.withLock { $0.statuses[certificate.serial] = newValue } }
    }

    /// What it says of a certificate of its authority; nil for one it does not know.
    ///
    /// - Parameter serial: The contents octets of the serial number.
    public subscript(serial serial: [UInt8]) -> OCSPStatus? {
        get { core.state.withLock { $0.statuses[serial] } }
        set { core.state.withLock { $0.statuses[serial] = newValue } }
    }

    private init(_ core: Core, _ address: SocketAddress) {
        self.core = core
        self.address = address
        authority = core.authority
    }

    /// Runs a responder while a closure runs.
    ///
    /// - Parameters:
    ///   - authority: Whose certificates it answers for, and with whose key it signs.
    ///   - local: Where it listens; 127.0.0.1 and a port of the system's choice by default.
    ///   - body: Gets the responder.
    /// - Returns: What the closure returns.
    /// - Throws: `SocketError` of listening, or what the closure throws.
    public static func run<Result: Sendable>(
        for authority: TestCA,
        at local: SocketAddress = SocketAddress("127.0.0.1", port: 0),
        _ body: (OCSPResponder) async throws -> Result
    ) async throws -> Result {
        let core = Core(authority)
        return try await withServer(SocketListenerInit(local: local)) { socket in
            guard let request = try await socket.readRequest() else { return }
            guard let answer = try await core.answer(request) else {
                // Silent: until the client has had enough.
                while try await socket.read() != nil {}
                return
            }
            // Half the bytes behind an announcement of all.
            let bytes = answer.bytes
            try await socket.write(Array(bytes.dropLast(answer.isCut ? answer.body.count / 2 : 0)))
        } _: { address in
            try await body(OCSPResponder(core, address))
        }
    }

    /// Issues a server's certificate that names this responder, and knows it as good.
    ///
    /// - Parameters:
    ///   - names: The certificate's names; at least one.
    ///   - key: The kind of key.
    /// - Returns: The certificate.
    /// - Throws: `TestKitError` as of `TestCA.issue(_:)`.
    public func issue(
        _ names: SubjectName...,
        key: TestKey = .p256
    ) throws(TestKitError) -> IssuedCertificate {
        var recipe = CertificateRecipe.server(names, key: key)
        recipe.extraExtensions.append(try .authorityInformationAccess(ocsp: [url]))
        let certificate = try authority.issue(recipe)
        self[certificate] = .good
        return certificate
    }

    /// Waits until so many requests have come, or the task is cancelled.
    ///
    /// - Parameter count: How many in all.
    public func waitForRequests(_ count: Int) async { await core.requests.wait(for: count) }
}

extension OCSPResponder.Core {
    /// The HTTP answer to a request; nil for silence.
    func answer(_ request: HTTPRequest) async throws -> HTTPAnswer? {
        let question = OCSPResponder.question(in: request)
        requests.append(
            OCSPResponder.Request(
                method: request.method,
                target: request.target,
                question: question
            )
        )
        guard ["GET", "POST"].contains(request.method) else { return HTTPAnswer(status: 405) }
        switch state.withLock({ $0.behaviour }) {
        case .correct: return try reply(to: question) { _ in }
        case .bent(let change): return try reply(to: question, change)
        case .answer(let answer): return OCSPResponder.page(answer)
        case .httpStatus(let status): return HTTPAnswer(status: status)
        case .silent: return nil
        case .slow(let pause):
            try await Task.sleep(for: pause)
            return try reply(to: question) { _ in }
        case .webPage: return HTTPAnswer(body: Array("<!doctype html><title>Hello</title>".utf8))
        case .cut:
            var answer = try reply(to: question) { _ in }
            answer.isCut = true
            return answer
        }
    }

    private func reply(
        to question: OCSPRequest?,
        _ change: (inout OCSPAnswerRecipe) throws -> Void
    ) throws -> HTTPAnswer {
        guard let question, !question.certificates.isEmpty else {
            return OCSPResponder.page(.malformedRequest)
        }
        var singles: [OCSPAnswerRecipe.Single] = []
        for id in question.certificates {
            let own = try OCSPCertificateID(
                of: authority.identity,
                issuedBy: authority,
                digest: id.digest
            )
            guard own.issuerNameHash == id.issuerNameHash, own.issuerKeyHash == id.issuerKeyHash
            else { return OCSPResponder.page(.unauthorized) }
            let status = state.withLock { $0.statuses[id.serial] }
            singles.append(OCSPAnswerRecipe.Single(id, status ?? .unknown))
        }
        var recipe = OCSPAnswerRecipe(singles, nonce: question.nonce)
        try change(&recipe)
        return OCSPResponder.page(try authority.ocspAnswer(recipe))
    }
}

extension OCSPResponder {
    fileprivate static func page(_ answer: OCSPAnswer) -> HTTPAnswer {
        HTTPAnswer(type: "application/ocsp-response", body: answer.der)
    }

    /// Reads the question out of a body or a target (RFC 6960 Appendix A.1).
    fileprivate static func question(in request: HTTPRequest) -> OCSPRequest? {
        if request.method == "POST" { return try? OCSPRequest(der: request.body) }
        // Base64 has slashes of its own: everything behind the first one.
        guard let der = base64(percentDecoded(request.target.dropFirst())) else { return nil }
        return try? OCSPRequest(der: der)
    }

    private static func percentDecoded(_ text: Substring) -> [UInt8] {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%"), rest.count >= 2,
                let value = UInt8(String(Substring(rest.prefix(2))), radix: 16)
            else {
                bytes.append(byte)
                continue
            }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        return bytes
    }

    /// The bytes of base64, with or without padding; nil for anything else.
    private static func base64(_ text: [UInt8]) -> [UInt8]? {
        let alphabet = Array(
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8
        )
        var bytes: [UInt8] = []
        var bits: UInt32 = 0
        var count = 0
        for byte in text where byte != UInt8(ascii: "=") {
            guard let value = alphabet.firstIndex(of: byte) else { return nil }
            bits = bits << 6 | UInt32(value)
            count += 6
            guard count >= 8 else { continue }
            count -= 8
            bytes.append(UInt8(truncatingIfNeeded: bits >> UInt32(count)))
        }
        return bytes
    }
}
