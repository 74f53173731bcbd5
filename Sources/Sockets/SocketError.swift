// The one error of the public surface. It says who must act (`category`), what happened (`code`),
// and carries the evidence: the system call, the TLS error, the handshake's report. Two errors are
// equal when the stable part of them is; texts may improve freely.

import SocketCore

/// What went wrong with a socket.
public struct SocketError: Error, Sendable {
    /// Who or what is at fault.
    public enum Category: String, Hashable, Sendable {
        /// The network, or the remote host.
        case network
        /// TLS: the peer, the policy, or both having nothing in common.
        case tls
        /// A deadline passed.
        case timeout
        /// This side ended it: a signal, a cancelled task, `close()`, `abort()`.
        case aborted
        /// This side's settings, or a call at the wrong moment.
        case misuse
        /// A limit of this process or this package.
        case resource
    }

    /// What happened.
    @nonexhaustive
    public enum Code: String, CaseIterable, Hashable, Sendable {
        /// Nobody listens at the remote address.
        case connectionRefused
        /// The peer reset the connection.
        case peerReset
        /// No route to the remote network or host.
        case unreachable
        /// The connection attempt failed in another way, see ``SocketError/errno``.
        case connectionFailed
        /// The remote name has no address.
        case resolutionFailed
        /// A local address is in use.
        case addressInUse
        /// A local address does not belong to this machine, or is not permitted.
        case addressNotAvailable
        /// A system call failed, see ``SocketError/systemCall`` and ``SocketError/errno``.
        case systemCallFailed

        /// The TLS handshake failed, see ``SocketError/tls``.
        case handshakeFailed
        /// The peer's certificate was refused.
        case certificateRejected
        /// The peer refused this side's certificate.
        case localCertificateRejected
        /// The peer ended the stream without saying so: data may be missing.
        case truncated
        /// TLS failed after the handshake.
        case tlsFailed
        /// A callback of the application refused the peer, or failed to decide.
        case refusedByApplication
        /// The peer did not prove the preshared key that it should have.
        case presharedKeyRejected
        /// The private key of this side, which is elsewhere, gave no signature or a wrong one.
        case signingFailed
        /// The peer sent data in the clear when TLS was about to start.
        case plaintextBeforeTLS

        /// No connection within ``SocketInit/connectionTimeout`` or the limit for one attempt.
        case connectTimedOut
        /// No complete handshake in time.
        case handshakeTimedOut
        /// A response was not sent within ``SocketResponseOptions/connectionTimeout``, or a listener's
        /// source gave no staple within ``OCSPStapleSource/timeout``.
        case responseTimedOut
        /// Nothing was sent or received for ``SocketInit/idleTimeout``.
        case idleTimedOut

        /// An `AbortSignal`, a cancelled task or `abort()` ended it.
        case aborted
        /// The socket or listener was closed by this side before.
        case closed

        /// A member of a dictionary has no possible meaning, see ``SocketError/detail``.
        case invalidOption
        /// A text is no address.
        case invalidAddress
        /// A TLS policy, key or certificate cannot be used, see ``SocketError/tls``.
        case invalidTLSConfiguration
        /// A TLS member is set on a socket that is not of type tls.
        case tlsOptionWithoutTLS
        /// The stream is taken already.
        case locked
        /// `respondWith` was called before.
        case alreadyResponded
        /// The sending side was ended before, or belongs to the body.
        case writeAfterEnd
        /// The connection's TLS does not have what was asked for, see ``SocketError/tls``; it goes on.
        case tlsUnavailable
        /// TLS cannot be started on this socket, or not now, see ``SocketError/detail``.
        case cannotStartTLS

        /// The body's source threw.
        case bodyFailed
        /// An `onData` consumer fell behind by more than its byte cap.
        case dataCapExceeded
        /// No descriptor or memory is left.
        case resourcesExhausted
        /// The listener turned the client away before its handshake, see ``AdmissionPolicy``.
        case notAdmitted
        /// A limit of ``SocketLimits`` was reached.
        case limitExceeded
    }

    private let evidence: Evidence

    /// Makes an error of few parts.
    ///
    /// Never inlined: the parts of the whole are large, and would be in the frame of every async
    /// caller.
    @inline(never)
    init(_ code: Code, detail: String? = nil) {
        self.init(code, detail: detail, hint: nil)
    }

    /// Makes an error.
    public init(
        _ code: Code,
        detail: String? = nil,
        hint: String? = nil,
        address: SocketAddress? = nil,
        errno: Int32? = nil,
        systemCall: String? = nil,
        tls: TLSError? = nil,
        phase: HandshakePhase? = nil,
        report: HandshakeReport? = nil
    ) {
        evidence = Evidence(
            code: code,
            detail: detail,
            hint: hint,
            address: address,
            errno: errno,
            systemCall: systemCall,
            tls: tls,
            phase: phase,
            report: report
        )
    }

    /// The error of what this side has closed, which every connection that ends well is left with: made
    /// once for all that have no reason to tell.
    static func closed(_ reason: String?) -> SocketError {
        reason == nil ? closedSilently : SocketError(.closed, detail: reason)
    }

    private static let closedSilently = SocketError(.closed)

    /// What happened.
    public var code: Code { evidence.code }
    /// One sentence that tells more, without secrets or data of the connection.
    public var detail: String? { evidence.detail }
    /// What would cure it, where that is known.
    public var hint: String? { evidence.hint ?? evidence.tls?.hint }
    /// The address that was tried or bound.
    public var address: SocketAddress? { evidence.address }
    /// The system's error number (`errno`).
    public var errno: Int32? { evidence.errno }
    /// The system call that failed, for example `connect`.
    public var systemCall: String? { evidence.systemCall }
    /// The TLS error beneath.
    public var tls: TLSError? { evidence.tls }
    /// How far the connection had come.
    public var phase: HandshakePhase? { evidence.phase ?? evidence.tls?.phase }
    /// The handshake's report, when there was a handshake.
    public var report: HandshakeReport? { evidence.report }

    /// Who or what is at fault.
    public var category: Category {
        switch code {
        case .connectionRefused, .peerReset, .unreachable, .connectionFailed, .resolutionFailed,
            .addressInUse, .addressNotAvailable, .systemCallFailed:
            .network
        case .handshakeFailed, .certificateRejected, .localCertificateRejected, .truncated,
            .tlsFailed, .refusedByApplication, .presharedKeyRejected, .plaintextBeforeTLS,
            .signingFailed:
            .tls
        case .connectTimedOut, .handshakeTimedOut, .responseTimedOut, .idleTimedOut: .timeout
        case .aborted, .closed: .aborted
        case .invalidOption, .invalidAddress, .invalidTLSConfiguration, .tlsOptionWithoutTLS,
            .locked, .alreadyResponded, .writeAfterEnd, .cannotStartTLS, .tlsUnavailable,
            .bodyFailed:
            .misuse
        case .dataCapExceeded, .resourcesExhausted, .limitExceeded, .notAdmitted: .resource
        }
    }

    /// The parts behind one reference: errors are thrown through many frames.
    private final class Evidence: Sendable {
        let code: Code
        let detail: String?
        let hint: String?
        let address: SocketAddress?
        let errno: Int32?
        let systemCall: String?
        let tls: TLSError?
        let phase: HandshakePhase?
        let report: HandshakeReport?

        init(
            code: Code,
            detail: String?,
            hint: String?,
            address: SocketAddress?,
            errno: Int32?,
            systemCall: String?,
            tls: TLSError?,
            phase: HandshakePhase?,
            report: HandshakeReport?
        ) {
            self.code = code
            self.detail = detail
            self.hint = hint
            self.address = address
            self.errno = errno
            self.systemCall = systemCall
            self.tls = tls
            self.phase = phase
            self.report = report
        }
    }
}

extension SocketError: Hashable {
    /// Compares code, errno and TLS error; texts may differ.
    public static func == (left: SocketError, right: SocketError) -> Bool {
        left.code == right.code && left.errno == right.errno && left.tls == right.tls
    }

    /// Hashes what `==` compares.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(code)
        hasher.combine(errno)
        hasher.combine(tls)
    }
}

extension SocketError: CustomStringConvertible, CustomDebugStringConvertible {
    /// One line: what, where, why, and the cure where known.
    public var description: String {
        var text = code.text
        if let address { text += " (\(address))" }
        if let tls { text += ": \(tls)" }
        if let systemCall, let errno {
            text += ": \(systemCall): \(Errno(rawValue: errno))"
        }
        if let detail { text += ": \(detail)" }
        if tls == nil, let phase { text += " (phase: \(phase))" }
        if tls?.hint == nil, let hint { text += ". \(hint)" }
        return text
    }

    /// The description and OpenSSL's reasons.
    public var debugDescription: String {
        guard let tls, !tls.reasons.isEmpty else { return description }
        return description + " [" + tls.reasons.map(\.text).joined(separator: "; ") + "]"
    }
}

extension SocketError.Code {
    /// The code in words, lower case, without a stop.
    var text: String {
        switch self {
        case .connectionRefused: "connection refused"
        case .peerReset: "the peer reset the connection"
        case .unreachable: "the remote address cannot be reached"
        case .connectionFailed: "the connection attempt failed"
        case .resolutionFailed: "the remote name cannot be resolved"
        case .addressInUse: "the local address is in use"
        case .addressNotAvailable: "the local address is not available"
        case .systemCallFailed: "a system call failed"
        case .handshakeFailed: "the TLS handshake failed"
        case .certificateRejected: "the peer's certificate was refused"
        case .localCertificateRejected: "the peer refused this side's certificate"
        case .truncated: "the stream was cut off"
        case .tlsFailed: "TLS failed"
        case .refusedByApplication: "the application refused the peer"
        case .presharedKeyRejected: "the peer did not prove the preshared key"
        case .signingFailed: "this side's external private key did not sign"
        case .plaintextBeforeTLS: "the peer sent data before TLS had started"
        case .connectTimedOut: "the connection attempt timed out"
        case .handshakeTimedOut: "the TLS handshake timed out"
        case .responseTimedOut: "the response was not sent in time"
        case .idleTimedOut: "the connection was idle for too long"
        case .aborted: "aborted"
        case .closed: "closed by this side"
        case .invalidOption: "invalid option"
        case .invalidAddress: "invalid address"
        case .invalidTLSConfiguration: "invalid TLS configuration"
        case .tlsOptionWithoutTLS: "a TLS member is set on a socket without TLS"
        case .locked: "the socket's stream is taken"
        case .alreadyResponded: "respondWith was called before"
        case .writeAfterEnd: "the sending side has ended"
        case .tlsUnavailable: "the connection's TLS does not have this"
        case .cannotStartTLS: "TLS cannot be started now"
        case .bodyFailed: "the body's source failed"
        case .dataCapExceeded: "the consumer fell behind by more than its cap"
        case .resourcesExhausted: "no descriptor or memory is left"
        case .limitExceeded: "a limit was reached"
        case .notAdmitted: "the listener turned the client away"
        }
    }
}
