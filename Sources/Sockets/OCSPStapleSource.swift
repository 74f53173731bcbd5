// Where a listener's staples come from, and how its user sees what became of them.

import Synchronization

/// Gives a listener the OCSP responses that it staples (RFC 6066 §8).
///
/// ```swift
/// options.ocspSource = OCSPStapleSource { identity in
///     try await http.post(responder, body: request).body          // the response in DER
/// }
/// ```
///
/// The listener asks at its start, again when half of what is left of a response has passed, and with
/// growing pauses after a failure. Handshakes never wait for it: they take the response that is there,
/// until that is out of date. Each response is verified before it is stapled.
public struct OCSPStapleSource: Sendable {
    /// Fetches a response for an identity's certificate, in DER.
    ///
    /// It runs in a task of the listener, which is cancelled with the listener and after
    /// ``OCSPStapleSource/timeout``.
    public typealias Fetch = @Sendable (TLSIdentity) async throws -> [UInt8]

    /// Time for one response; 30 s by default.
    public var timeout: Duration = .seconds(30)
    /// The pause after a first failure, which doubles with each further one; one minute by default.
    public var retryDelay: Duration = .seconds(60)
    /// The longest pause after failures; one hour by default.
    public var longestRetryDelay: Duration = .seconds(3600)
    /// The pause after a response that does not say when the next comes; one hour by default.
    public var interval: Duration = .seconds(3600)

    let closures: Closures
    /// What time it is, and how to sleep.
    package var clock = StapleClock.system

    /// What cannot be compared.
    final class Closures: Sendable {
        let fetch: Fetch
        let onChange: (@Sendable (StapleState) -> Void)?

        init(_ fetch: @escaping Fetch, _ onChange: (@Sendable (StapleState) -> Void)?) {
            self.fetch = fetch
            self.onChange = onChange
        }
    }

    /// Makes a source.
    ///
    /// - Parameters:
    ///   - onChange: Told after every attempt, in the task that made it; must not block.
    ///   - fetch: Fetches a response.
    public init(
        onChange: (@Sendable (StapleState) -> Void)? = nil,
        _ fetch: @escaping Fetch
    ) {
        closures = Closures(fetch, onChange)
    }
}

extension OCSPStapleSource: Hashable {
    /// Compares the source itself, not what its closures do.
    public static func == (left: OCSPStapleSource, right: OCSPStapleSource) -> Bool {
        left.closures === right.closures && left.timeout == right.timeout
            && left.retryDelay == right.retryDelay
            && left.longestRetryDelay == right.longestRetryDelay
            && left.interval == right.interval
    }

    /// Hashes what makes the source the same.
    public func hash(into hasher: inout Hasher) { hasher.combine(ObjectIdentifier(closures)) }
}

/// What a listener staples for one identity.
public struct StapleState: Sendable {
    /// The identity's leaf.
    public var certificate: Certificate
    /// The response that is stapled; nil for none.
    public var staple: OCSPStaple?
    /// Why the last attempt to get another came to nothing; nil when it did not fail.
    public var failure: (any Error)?
    /// When the source is asked next; nil without a source, and once the listener has stopped.
    public var nextAttempt: UnixTime?

    /// Whether the certificate demands a staple and there is none: clients that hold it to that refuse
    /// the connection (RFC 7633).
    public var isOwed: Bool { staple == nil && certificate.requiresStaple }
}

/// What time it is for staples, and how to sleep.
package struct StapleClock: Sendable {
    package var now: @Sendable () -> UnixTime
    package var sleep: @Sendable (Duration) async throws -> Void

    package init(
        now: @escaping @Sendable () -> UnixTime,
        sleep: @escaping @Sendable (Duration) async throws -> Void
    ) {
        self.now = now
        self.sleep = sleep
    }

    /// The machine's.
    package static let system = StapleClock(
        now: { UnixTime.now },
        sleep: { try await Task.sleep(for: $0, clock: .continuous) }
    )
}
