// What a failed probe is called in the report: the outcome, the exit code and the error.

import Sockets

extension Observation {
    /// The outcome and the exit code of a failure.
    func outcome(of error: SocketError) -> (InspectionReport.Outcome, ExitStatus) {
        switch error.code {
        case .resolutionFailed: (.unresolved, .noConnection)
        case .connectionRefused: (.refused, .noConnection)
        case .unreachable: (.unreachable, .noConnection)
        case .connectTimedOut: (.timeout, .noConnection)
        case .handshakeTimedOut, .responseTimedOut, .idleTimedOut: (.timeout, .noHandshake)
        case .handshakeFailed, .certificateRejected, .localCertificateRejected, .truncated,
            .tlsFailed, .refusedByApplication, .presharedKeyRejected, .plaintextBeforeTLS:
            (tlsOutcome(of: error.tls), .noHandshake)
        case .peerReset:
            hasConnected ? (.closed, .noHandshake) : (.connectionFailed, .noConnection)
        case .connectionFailed, .addressInUse, .addressNotAvailable, .systemCallFailed,
            .resourcesExhausted, .limitExceeded, .notAdmitted:
            (.connectionFailed, .noConnection)
        case .invalidOption, .invalidAddress, .invalidTLSConfiguration, .tlsOptionWithoutTLS:
            (.invalid, .usage)
        case .aborted, .closed, .locked, .alreadyResponded, .writeAfterEnd, .bodyFailed,
            .dataCapExceeded, .cannotStartTLS:
            (.internalError, .internalError)
        }
    }

    private var hasConnected: Bool { timings.connect != nil }

    private func tlsOutcome(of error: TLSError?) -> InspectionReport.Outcome {
        switch error?.code {
        case .alertReceived: .alert
        case .notTLS: .notTLS
        case .closedDuringHandshake, .truncated: .closed
        default: .handshakeFailed
        }
    }

    /// The failure as the report tells it.
    func describe(_ error: SocketError) -> InspectionReport.Failure {
        let sentAlert = (handshake ?? error.report)?.alertSent.flatMap {
            $0.level == .fatal ? $0 : nil
        }
        let alert = error.tls?.alert ?? sentAlert
        return InspectionReport.Failure(
            code: snakeCase(error.tls?.code.rawValue ?? error.code.rawValue),
            phase: error.phase.map { snakeCase($0.rawValue) },
            alert: alert.map {
                InspectionReport.AlertReport(number: Int($0.code), name: $0.name)
            },
            sent: error.tls?.alert == nil && sentAlert != nil,
            message: message(error),
            hint: error.hint ?? hint(for: error)
        )
    }

    /// What the error says, without the phase and the hint, which have places of their own.
    private func message(_ error: SocketError) -> String {
        if var tls = error.tls {
            tls.phase = nil
            tls.hint = nil
            return tls.description
        }
        return SocketError(
            error.code,
            detail: error.detail,
            address: error.address,
            errno: error.errno,
            systemCall: error.systemCall
        ).description
    }

    private func hint(for error: SocketError) -> String? {
        switch error.code {
        case .handshakeTimedOut where error.phase == .serverHello:
            "The port takes connections and says nothing: another protocol may be spoken there"
        case .connectTimedOut: "A firewall may drop the packets; check address and port"
        case .resolutionFailed: "Check the name, or give the address to connect to"
        default: nil
        }
    }
}
