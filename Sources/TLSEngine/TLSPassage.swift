// What passes between the two sides beside data and the handshake's messages: alerts, tickets and key
// updates, told while a step runs. The report has the last alert of each side and the first tickets; who
// wants all of them, in order and with their moment, has them told here.
//
// OpenSSL's message callback tells the buffer BIO, which calls on only where somebody asked: a connection
// that nobody watches pays a look at a null pointer for each alert.

/// Something that passed between the two sides, see ``TLSEngine/watch(_:)``.
@nonexhaustive
public enum TLSPassage: Hashable, Sendable {
    /// This side sent an alert.
    case alertSent(Alert, phase: HandshakePhase)
    /// The peer sent an alert.
    case alertReceived(Alert, phase: HandshakePhase)
    /// This server gave a ticket.
    case ticketSent
    /// The server gave this client a ticket.
    case ticketReceived(TicketFacts)
    /// This side changed its sending keys (RFC 8446 §4.6.3).
    case keyUpdateSent
    /// The peer changed its sending keys (RFC 8446 §4.6.3).
    case keyUpdateReceived
}

extension TLSEngine {
    /// Has a closure told of alerts, tickets and key updates as they pass.
    ///
    /// A phase of an alert is where the handshake stood when it passed. Nothing that was told before is
    /// told again, and a second closure takes the place of the first.
    ///
    /// - Parameter notice: Called within the steps, in order. Must not call this engine, and be quick.
    public mutating func watch(_ notice: @escaping @Sendable (TLSPassage) -> Void) {
        let watch = PassageWatch(role: context.role, notice: notice)
        self.watch = watch
        connection.tell(watch)
    }

    /// The last alerts that passed; the quick part of ``report``.
    package var lastAlerts: (sent: Alert?, received: Alert?) {
        let facts = connection.transportFacts
        return (facts.alertSent, facts.alertReceived)
    }
}
