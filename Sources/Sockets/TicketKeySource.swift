// Where a listener's ticket keys come from, and how its user sees what became of them.

import SocketCore

/// Gives a listener the secrets that its ticket keys are derived from, so that every process that has the
/// same ones resumes the sessions of the others.
///
/// ```swift
/// options.ticketKeys = try TicketKeySource.file("/run/secrets/tickets")
/// ```
///
/// The listener asks at its start, again after each ``interval``, and with growing pauses after a failure.
/// Handshakes never wait for it. While there is no key no ticket is given, and every handshake is a full
/// one. Copies share their keys: give the same source to the hosts of a listener, and to several
/// listeners.
public struct TicketKeySource: Sendable {
    /// Gives the secrets that are in force.
    ///
    /// It runs in a task of the listener, which is cancelled with the listener and after
    /// ``TicketKeySource/timeout``.
    public typealias Fetch = @Sendable () async throws -> TicketSecrets

    /// The pause after secrets were given; one minute by default.
    public var interval: Duration = .seconds(60)
    /// Time for one answer; 30 s by default.
    public var timeout: Duration = .seconds(30)
    /// The pause after a first failure, which doubles with each further one; 10 s by default.
    public var retryDelay: Duration = .seconds(10)
    /// The longest pause after failures; 10 minutes by default.
    public var longestRetryDelay: Duration = .seconds(600)
    /// The keys that were derived, which engines without a listener can use too.
    public var ring: TicketKeyRing { closures.ring }

    let closures: Closures

    /// What cannot be compared.
    final class Closures: Sendable {
        let ring: TicketKeyRing
        let fetch: Fetch
        /// The same without a wait, where that is possible; blocks as long as the disk does.
        let fetchAtOnce: (@Sendable () throws -> TicketSecrets)?
        let onChange: (@Sendable (TicketKeyState) -> Void)?
        let clock: StapleClock

        init(
            _ ring: TicketKeyRing,
            _ fetch: @escaping Fetch,
            _ fetchAtOnce: (@Sendable () throws -> TicketSecrets)?,
            _ onChange: (@Sendable (TicketKeyState) -> Void)?,
            _ clock: StapleClock
        ) {
            self.ring = ring
            self.fetch = fetch
            self.fetchAtOnce = fetchAtOnce
            self.onChange = onChange
            self.clock = clock
        }
    }

    /// Makes a source.
    ///
    /// - Parameters:
    ///   - epoch: How long one key seals, 1 s to 7 days in whole seconds; the same for the whole fleet.
    ///   - maximumAge: How long secrets are used while the source does not confirm them; nil for ever.
    ///   - onChange: Told after every attempt, in the task that made it; must not block.
    ///   - fetch: Gives the secrets.
    /// - Throws: ``SocketError`` `.invalidTLSConfiguration` for an epoch out of its range.
    public init(
        epoch: Duration = .seconds(3600),
        maximumAge: Duration? = .seconds(86400),
        onChange: (@Sendable (TicketKeyState) -> Void)? = nil,
        _ fetch: @escaping Fetch
    ) throws(SocketError) {
        try self.init(epoch, maximumAge, onChange, .system, nil, fetch)
    }

    /// Makes a source of a file, which is read anew after each ``interval``.
    ///
    /// The form is that of ``TicketSecrets/init(reading:)``: `openssl rand -hex 32` makes one.
    ///
    /// - Parameters:
    ///   - path: The file; it need not be there yet.
    ///   - epoch: How long one key seals, 1 s to 7 days in whole seconds; the same for the whole fleet.
    ///   - maximumAge: How long secrets are used while the file cannot be read; nil for ever.
    ///   - onChange: Told after every attempt; must not block.
    /// - Returns: The source.
    /// - Throws: ``SocketError`` `.invalidTLSConfiguration` for an epoch out of its range.
    public static func file(
        _ path: String,
        epoch: Duration = .seconds(3600),
        maximumAge: Duration? = .seconds(86400),
        onChange: (@Sendable (TicketKeyState) -> Void)? = nil
    ) throws(SocketError) -> TicketKeySource {
        try file(path, epoch: epoch, maximumAge: maximumAge, onChange: onChange, clock: .system)
    }

    /// The same with a clock of one's own.
    package static func file(
        _ path: String,
        epoch: Duration = .seconds(3600),
        maximumAge: Duration? = .seconds(86400),
        onChange: (@Sendable (TicketKeyState) -> Void)? = nil,
        clock: StapleClock
    ) throws(SocketError) -> TicketKeySource {
        let read: @Sendable () throws -> TicketSecrets = { try TicketSecrets(file: path) }
        return try TicketKeySource(epoch, maximumAge, onChange, clock, read) { try read() }
    }

    /// Makes a source with a clock of one's own.
    package init(
        _ epoch: Duration,
        _ maximumAge: Duration?,
        _ onChange: (@Sendable (TicketKeyState) -> Void)?,
        _ clock: StapleClock,
        _ fetchAtOnce: (@Sendable () throws -> TicketSecrets)?,
        _ fetch: @escaping Fetch
    ) throws(SocketError) {
        do throws(TLSError) {
            let ring = try TicketKeyRing(epoch: epoch, maximumAge: maximumAge, clock: clock.now)
            closures = Closures(ring, fetch, fetchAtOnce, onChange, clock)
        } catch {
            throw .configuration(error)
        }
    }
}

extension TicketKeySource: Hashable {
    /// Compares the source itself, not what its closures do.
    public static func == (left: TicketKeySource, right: TicketKeySource) -> Bool {
        left.closures === right.closures && left.interval == right.interval
            && left.timeout == right.timeout && left.retryDelay == right.retryDelay
            && left.longestRetryDelay == right.longestRetryDelay
    }

    /// Hashes what makes the source the same.
    public func hash(into hasher: inout Hasher) { hasher.combine(ObjectIdentifier(closures)) }
}

/// What a listener's ticket keys are worth now.
public struct TicketKeyState: Sendable {
    /// Whether tickets are given; without a key that may seal them every handshake is a full one.
    public var canSeal: Bool
    /// Keys that open tickets.
    public var keyCount: Int
    /// Why the last attempt to get secrets came to nothing; nil when it did not fail.
    public var failure: (any Error)?
    /// When the source is asked next; nil once the listener has stopped.
    public var nextAttempt: UnixTime?
}

extension TicketSecrets {
    /// Reads a file; nothing of it stays in memory that is not wiped.
    ///
    /// - Parameter file: In the form of ``init(reading:)``.
    /// - Throws: ``SocketError`` that names the file.
    public init(file: String) throws(SocketError) {
        let text: SecretBytes
        do throws(SystemCallError) {
            text = try SecretBytes(
                capacity: TicketSecrets.textBytesMax + 1
            ) { (output) throws(SystemCallError) in
                var bytes = try ByteFile(path: file)
                while output.freeCapacity > 0, try bytes.read(into: &output) > 0 {}
            }
        } catch {
            throw SocketError(
                .systemCallFailed,
                detail: file,
                errno: error.errno.rawValue,
                systemCall: error.call
            )
        }
        do throws(TLSError) {
            try self.init(reading: text)
        } catch {
            throw SocketError(.invalidTLSConfiguration, detail: file, tls: error)
        }
    }
}
