// How the libraries of Peers refuse, and how they take a refusal.
//
// OpenSSL's words are known from its own programs. Node judges certificates when the handshake is
// done, and goes without a word. Java has its own alerts, and keeps a certificate to itself that no
// authority of the server's list has issued.

import Sockets
import TLSTestKit

/// An error's text in one spelling: the same alert is `UNKNOWN_CA` to one and `unknown ca` to another.
func writtenAlike(_ text: String?) -> String {
    (text ?? "").lowercased().split(separator: " ").joined(separator: "_")
}

extension ScriptedServer {
    func verdict(_ row: HandshakeRow) -> ClientVerdict? {
        if row.protocols == .disjoint {
            // Python lets in who speaks no protocol of its own.
            return peer.language == .python
                ? nil : .alert(.noApplicationProtocol, .handshakeFailed, .serverHello)
        }
        switch row.client {
        case .unasked, .good, .volunteered, .declined: return nil
        case .absent: break
        // Node tells whom it does not trust from whom it does, and lets both in.
        case .mistaken where peer.language == .node: return nil
        case .untrusted where peer.language == .node: return nodeGoes(row)
        case .untrusted, .mistaken: break
        }
        let isLate = row.version == .tls13
        let isAbsent = row.client == .absent
        let alert: Alert =
            switch peer.language {
            case .java: isAbsent ? .badCertificate : .certificateUnknown
            case .node, .python:
                isAbsent ? (isLate ? .certificateRequired : .handshakeFailure) : .unknownCA
            }
        return .alert(
            alert,
            alert == .handshakeFailure ? .handshakeFailed : .localCertificateRejected,
            isLate ? .clientAuthentication : .finished,
            isAfterReady: isLate
        )
    }

    private func nodeGoes(_ row: HandshakeRow) -> ClientVerdict {
        row.version == .tls12
            ? ClientVerdict(error: .leftDuringHandshake, phase: .finished)
            : ClientVerdict(error: .cut, phase: .open, isAfterReady: true)
    }
}

extension ScriptedClient {
    func verdict(_ row: HandshakeRow) -> ListenerVerdict? {
        if row.protocols == .disjoint {
            return ListenerVerdict(
                1,
                "no_application_protocol",
                SocketError(.handshakeFailed, tls: TLSError(.noApplicationProtocol)),
                .clientHello
            )
        }
        guard row.server == .good else { return refusal(row) }
        switch row.client {
        case .unasked, .good, .volunteered, .declined: return nil
        // Java shows none that is of an authority unknown to the server.
        case .mistaken where peer.language == .java: return nil
        case .untrusted where peer.language != .java, .mistaken:
            return ListenerVerdict(
                1,
                "unknown_ca",
                .clientRefused(.unableToGetIssuerLocally),
                .clientAuthentication
            )
        case .untrusted, .absent:
            return ListenerVerdict(
                1,
                row.version == .tls12 ? "handshake_failure" : "certificate_required",
                SocketError(.certificateRejected, tls: TLSError(.peerCertificateMissing)),
                .clientAuthentication
            )
        }
    }

    /// How it refuses a certificate of ours.
    private func refusal(_ row: HandshakeRow) -> ListenerVerdict {
        let isOld = row.version == .tls12
        let text =
            switch (peer.language, row.server) {
            case (.java, .wrongName): "no_subject_alternative_dns_name_matching"
            case (.java, .untrusted): "unable_to_find_valid_certification_path"
            case (.java, _): "validity_check_failed"
            case (.node, .wrongName): "err_tls_cert_altname_invalid"
            case (_, .wrongName): "certificate_is_not_valid_for"
            case (_, .untrusted): "unable_to_get_local_issuer_certificate"
            case (_, _): "certificate_has_expired"
            }
        if peer.language == .node {
            return isOld
                ? ListenerVerdict(1, text, .cut, .open)
                : ListenerVerdict(1, text, .leftDuringHandshake, .finished)
        }
        let alert: Alert =
            switch (peer.language, row.server) {
            // With TLS 1.3 it does not say why.
            case (.java, .expired): isOld ? .certificateExpired : .certificateUnknown
            case (.java, _): .certificateUnknown
            case (_, .wrongName): .badCertificate
            case (_, .untrusted): .unknownCA
            case (_, _): .certificateExpired
            }
        return ListenerVerdict(
            1,
            text,
            .alert(alert, .localCertificateRejected),
            isOld ? .keyExchange : .finished
        )
    }
}

extension SocketError {
    /// The peer ended TCP while the handshake ran.
    static let leftDuringHandshake = SocketError(
        .handshakeFailed,
        tls: TLSError(.closedDuringHandshake)
    )

    /// The peer ended TCP and not TLS.
    static let cut = SocketError(.truncated, tls: TLSError(.truncated))
}
