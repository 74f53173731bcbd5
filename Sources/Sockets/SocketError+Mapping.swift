// From the errors of the layers below to the public one.

package import SocketCore

extension SocketError {
    /// The error for a system call of a connection.
    package static func system(
        _ errno: Errno,
        _ call: String,
        address: SocketAddress? = nil,
        phase: HandshakePhase? = nil
    ) -> SocketError {
        let code: Code =
            switch errno {
            case .connectionRefused: .connectionRefused
            case .connectionReset, .brokenPipe, .connectionAbort: .peerReset
            case .networkUnreachable, .noRouteToHost, .networkDown, .hostIsDown: .unreachable
            case .timedOut: phase == .connecting ? .connectTimedOut : .peerReset
            case .addressInUse: .addressInUse
            case .addressNotAvailable, .permissionDenied: .addressNotAvailable
            case .tooManyOpenFiles, .tooManyOpenFilesInSystem, .noMemory, .noBufferSpace:
                .resourcesExhausted
            default: phase == .connecting ? .connectionFailed : .systemCallFailed
            }
        return SocketError(
            code,
            hint: cure(for: code, errno),
            address: address,
            errno: errno.rawValue,
            systemCall: call,
            phase: phase
        )
    }

    /// The error for a failure of ours that names its call.
    package static func system(
        _ error: SystemCallError,
        address: SocketAddress? = nil
    ) -> SocketError {
        system(error.errno, error.call, address: address)
    }

    /// The error for a TLS failure of a connection.
    static func tls(_ error: TLSError, report: HandshakeReport?) -> SocketError {
        let isOpen = report?.isComplete ?? false
        let code: Code =
            switch error.code {
            case .certificateRejected, .weakParameters, .peerCertificateMissing:
                .certificateRejected
            case .truncated: .truncated
            case .refusedByApplication: .refusedByApplication
            case .presharedKeyUnused, .presharedKeyUnknown, .presharedKeyMismatch:
                .presharedKeyRejected
            case .signingFailed, .invalidSignature: .signingFailed
            // In TLS 1.3 the server judges behind the client's handshake, else it is a part of it.
            case .alertReceived
            where error.alert?.judgesCertificate == true
                && (!isOpen || error.phase == .clientAuthentication):
                .localCertificateRejected
            default: isOpen ? .tlsFailed : .handshakeFailed
            }
        return SocketError(code, tls: error, report: report)
    }

    /// The error for TLS settings that cannot work.
    static func configuration(_ error: TLSError) -> SocketError {
        SocketError(.invalidTLSConfiguration, tls: error)
    }

    private static func cure(for code: Code, _ errno: Errno) -> String? {
        switch code {
        case .connectionRefused: "Check that the server runs and listens on this address and port"
        case .addressInUse: "Another process listens there; choose another port, or port 0"
        case .resourcesExhausted:
            errno == .tooManyOpenFiles ? "Raise the limit of open files (ulimit -n)" : nil
        default: nil
        }
    }
}
