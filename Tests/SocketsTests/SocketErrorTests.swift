// The error itself, and every misuse a program can commit: each is told before anything is sent.

import SocketCore
import TLSEngine
import Testing

@testable import Sockets

@Suite(.timeLimit(.minutes(1))) struct SocketErrorTests {
    @Test(
        "every code has words and a category of its own kind",
        arguments: SocketError.Code.allCases
    )
    func words(code: SocketError.Code) {
        let error = SocketError(code, detail: "the detail", hint: "The hint")
        #expect(error.description.hasPrefix(code.text))
        #expect(error.description.contains("the detail"))
        #expect(error.description.hasSuffix("The hint"))
        #expect(error.debugDescription.hasPrefix(error.description))
    }

    @Test("errors are equal when code, errno and TLS error are")
    func equality() {
        let error = SocketError(.peerReset, detail: "a", errno: 104)
        #expect(error == SocketError(.peerReset, detail: "b", errno: 104))
        #expect(error.hashValue == SocketError(.peerReset, errno: 104).hashValue)
        #expect(error != SocketError(.peerReset, errno: 32))
        #expect(error != SocketError(.aborted, errno: 104))
        #expect(error != SocketError(.peerReset, errno: 104, tls: TLSError(.truncated)))
    }

    @Test(
        "system errors become codes",
        arguments: [
            (Errno.connectionRefused, .connectionRefused), (.connectionReset, .peerReset),
            (.brokenPipe, .peerReset), (.noRouteToHost, .unreachable),
            (.networkUnreachable, .unreachable), (.addressInUse, .addressInUse),
            (.addressNotAvailable, .addressNotAvailable),
            (.permissionDenied, .addressNotAvailable),
            (.tooManyOpenFiles, .resourcesExhausted), (.noMemory, .resourcesExhausted),
            (.timedOut, .connectTimedOut), (.invalidArgument, .connectionFailed),
        ] as [(Errno, SocketError.Code)]
    )
    func mapping(errno: Errno, code: SocketError.Code) {
        let error = SocketError.system(errno, "connect", phase: .connecting)
        #expect(error.code == code)
        #expect(error.errno == errno.rawValue)
        #expect(error.systemCall == "connect")
    }

    @Test("reasons of the end carry the errors they came from")
    func reasons() {
        #expect(CloseReason(SocketError(.truncated)) == .truncated)
        #expect(CloseReason(SocketError(.peerReset)) == .reset)
        #expect(CloseReason(SocketError(.aborted, detail: "x")) == .aborted("x"))
        #expect(CloseReason(SocketError(.idleTimedOut)) == .timedOut(SocketError(.idleTimedOut)))
        #expect(CloseReason(SocketError(.tlsFailed)) == .failed(SocketError(.tlsFailed)))
        #expect(CloseReason.clean("x").error == nil)
        #expect(CloseReason.reset.error?.code == .peerReset)
        #expect(CloseReason.truncated.error?.code == .truncated)
        #expect(CloseReason.aborted("x").error?.detail == "x")
        for reason: CloseReason in [
            .clean(nil), .clean("x"), .truncated, .reset, .aborted(nil), .aborted("x"),
        ] {
            #expect(!reason.description.isEmpty)
        }
    }

    typealias Change = @Sendable (inout SocketInit) -> Void

    static let clientCases: [(Change, SocketError.Code)] = [
        ({ $0.connectionTimeout = .zero }, .invalidOption),
        ({ $0.connectionTimeout = .seconds(-1) }, .invalidOption),
        ({ $0.idleTimeout = .zero }, .invalidOption),
        ({ $0.sendBufferSize = 0 }, .invalidOption),
        ({ $0.sendBufferSize = 1 << 40 }, .invalidOption),
        ({ $0.receiveBufferSize = -1 }, .invalidOption),
        ({ $0.ttl = 0 }, .invalidOption),
        ({ $0.ttl = 256 }, .invalidOption),
        ({ $0.local = SocketAddress("example.com", port: 0) }, .invalidAddress),
        ({ $0.local = SocketAddress("..", port: 0) }, .invalidAddress),
        ({ $0.alpn = ["h2"] }, .tlsOptionWithoutTLS),
        ({ $0.servername = "a.test" }, .tlsOptionWithoutTLS),
        ({ $0.minimumVersion = .tls13 }, .tlsOptionWithoutTLS),
        ({ $0.trust = .acceptAnything(because: "test") }, .tlsOptionWithoutTLS),
        (
            {
                $0.type = .tls; $0.alpn = [""]
            }, .invalidTLSConfiguration
        ),
        (
            {
                $0.type = .tls; $0.ecdhCurve = "nonsense"
            }, .invalidTLSConfiguration
        ),
        (
            {
                $0.type = .tls; $0.cipherAlgorithms = ["x"]
            }, .invalidTLSConfiguration
        ),
        (
            {
                $0.type = .tls; $0.signatureAlgorithms = ["x"]
            }, .invalidTLSConfiguration
        ),
        (
            {
                $0.type = .tls; $0.servername = "a b"
            }, .invalidTLSConfiguration
        ),
        (
            {
                $0.type = .tls; $0.maximumVersion = .tls12; $0.minimumVersion = .tls13
            },
            .invalidTLSConfiguration
        ),
        (
            {
                $0.type = .tls; $0.key = [1]
            }, .invalidOption
        ),
        (
            {
                $0.type = .tls; $0.cert = [1]
            }, .invalidOption
        ),
        (
            {
                $0.type = .tls; $0.passphrase = "x"
            }, .invalidOption
        ),
        (
            {
                $0.type = .tls; $0.key = [1]; $0.cert = [1]
            }, .invalidTLSConfiguration
        ),
    ]

    @Test("a client's dictionary that cannot be is refused at once", arguments: clientCases)
    func client(change: Change, code: SocketError.Code) throws {
        var options = SocketInit(remote: SocketAddress("127.0.0.1", port: 0))
        if code != .tlsOptionWithoutTLS {
            options.tls.trust = TLSSocketInit().trust
        }
        change(&options)
        do {
            _ = try Socket(options)
            Issue.record("the dictionary was taken")
        } catch {
            #expect(error.code == code)
            #expect(error.category == .misuse)
        }
    }

    typealias ListenerChange = @Sendable (inout SocketListenerInit) -> Void

    static let listenerCases: [(ListenerChange, SocketError.Code)] = [
        ({ $0.idleTimeout = .zero }, .invalidOption),
        ({ $0.ttl = 0 }, .invalidOption),
        ({ $0.receiveBufferSize = 0 }, .invalidOption),
        ({ $0.pendingConnections = 0 }, .invalidOption),
        ({ $0.local = SocketAddress("example.com", port: 0) }, .invalidAddress),
        ({ $0.local = SocketAddress("", port: 0) }, .invalidAddress),
        ({ $0.alpn = ["h2"] }, .tlsOptionWithoutTLS),
        ({ $0.clientAuthentication = .require }, .tlsOptionWithoutTLS),
        ({ $0.type = .tls }, .invalidTLSConfiguration),
        (
            {
                $0.type = .tls; $0.key = [1]
            }, .invalidOption
        ),
        ({ $0.local = SocketAddress("192.0.2.1", port: 0) }, .addressNotAvailable),
    ]

    @Test("a listener's dictionary that cannot be is refused at once", arguments: listenerCases)
    func listener(change: ListenerChange, code: SocketError.Code) {
        var options = SocketListenerInit(local: loopback)
        change(&options)
        do {
            _ = try SocketListener(options)
            Issue.record("the dictionary was taken")
        } catch {
            #expect(error.code == code)
        }
    }

    @Test("an identity is given in one way only")
    func twoIdentities() throws {
        let credentials = try Credentials.shared()
        var options = try clientOptions(.tls13, to: loopback)
        options.identity = credentials.client
        options.key = credentials.serverPEM.key
        options.cert = credentials.serverPEM.cert
        #expect(throws: SocketError(.invalidOption)) { _ = try Socket(options) }
    }

    @Test("errors and dictionaries show no secrets")
    func secrets() throws {
        var tls = TLSSocketInit()
        tls.key = Array("PRIVATE".utf8)
        tls.passphrase = "hunter2"
        var listener = TLSSocketListenerInit()
        listener.key = tls.key
        listener.passphrase = tls.passphrase
        for text in [
            "\(tls)", String(reflecting: tls), "\(listener)", String(reflecting: listener),
            "\(Mirror(reflecting: tls).children.map(\.label))",
        ] {
            #expect(!text.contains("hunter2"))
            #expect(!text.contains("80, 82, 73"))
        }
        #expect("\(tls)".contains("<redacted>"))
    }
}
