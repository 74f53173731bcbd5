// The seed's abort signal: one thing that tells any number of sockets, listeners and responses to
// stop. A cancelled task takes the same path inside.

import SocketCore
import Synchronization

/// Tells whoever listens to it to stop, once (seed `AbortSignal`).
public final class AbortSignal: Sendable {
    private struct State {
        var isAborted = false
        var reason: String?
        var handlers: [UInt64: @Sendable (String?) -> Void] = [:]
        var nextNumber: UInt64 = 0
    }

    private let state = Mutex(State())
    /// The signals that give this one, and the numbers under which they know it.
    private let sources: Mutex<[(signal: AbortSignal, number: UInt64)]> = Mutex([])

    init() {}

    deinit {
        for (signal, number) in sources.withLock({ $0 }) { signal.unregister(number) }
    }

    /// Whether it has been given.
    public var aborted: Bool { state.withLock { $0.isAborted } }

    /// Why, if a reason was given.
    public var reason: String? { state.withLock { $0.reason } }

    /// A signal that is given already.
    ///
    /// - Parameter reason: Why.
    /// - Returns: The signal.
    public static func abort(_ reason: String? = nil) -> AbortSignal {
        let signal = AbortSignal()
        signal.give(reason)
        return signal
    }

    /// A signal that is given after a time, if it is still kept by then.
    ///
    /// - Parameter duration: The time from now.
    /// - Returns: The signal.
    public static func timeout(_ duration: Duration) -> AbortSignal {
        let signal = AbortSignal()
        let timer = SignalTimer(signal, after: duration)
        timer.loop.arm(timer, at: EventLoop.readClock().advanced(by: duration))
        return signal
    }

    /// A signal that is given as soon as one of others is.
    ///
    /// Keep it as long as it is wanted, for example in the socket's options: the others do not, so one
    /// that is dropped leaves nothing behind in signals that live on.
    ///
    /// - Parameter signals: The others.
    /// - Returns: The signal.
    public static func any(_ signals: [AbortSignal]) -> AbortSignal {
        let combined = AbortSignal()
        for signal in signals {
            let number = signal.register { [weak combined] in combined?.give($0) }
            combined.sources.withLock { $0.append((signal, number)) }
        }
        return combined
    }

    /// Adds something to do when the signal is given; at once if it was.
    ///
    /// - Parameter handler: Gets the reason. Called once, on the task or thread that gives the signal.
    public func onAbort(_ handler: @escaping @Sendable (_ reason: String?) -> Void) {
        _ = register(handler)
    }

    /// Adds something to do, and gives a number by which it is taken out again.
    func register(_ handler: @escaping @Sendable (_ reason: String?) -> Void) -> UInt64 {
        let (number, reason, isAborted) = state.withLock { s -> (UInt64, String?, Bool) in
            s.nextNumber += 1
            if !s.isAborted { s.handlers[s.nextNumber] = handler }
            return (s.nextNumber, s.reason, s.isAborted)
        }
        if isAborted { handler(reason) }
        return number
    }

    /// How many handlers wait for the signal.
    var handlerCount: Int { state.withLock { $0.handlers.count } }

    func unregister(_ number: UInt64) {
        state.withLock { s in _ = s.handlers.removeValue(forKey: number) }
    }

    func give(_ reason: String?) {
        let handlers = state.withLock { s -> [@Sendable (String?) -> Void] in
            guard !s.isAborted else { return [] }
            s.isAborted = true
            s.reason = reason
            defer { s.handlers = [:] }
            return s.handlers.sorted { $0.key < $1.key }.map(\.value)
        }
        for handler in handlers { handler(reason) }
    }
}

/// Gives a signal (seed `AbortController`).
public final class AbortController: Sendable {
    /// The signal it gives.
    public let signal = AbortSignal()

    /// Makes a controller and its signal.
    public init() {}

    /// Gives the signal; later calls do nothing.
    ///
    /// - Parameter reason: Why.
    public func abort(_ reason: String? = nil) {
        signal.give(reason)
    }
}

/// A timer that gives a signal; the loop keeps it until it fires.
private final class SignalTimer: ReadinessSource, @unchecked Sendable {
    // Sendable: nothing changes after it was made.
    let loop: EventLoop
    // Held until then: whoever waits for the signal need not hold it too.
    private let signal: AbortSignal
    private let duration: Duration

    init(_ signal: AbortSignal, after duration: Duration) {
        loop = EventLoopGroup.shared.next()
        self.signal = signal
        self.duration = duration
        super.init()
    }

    override func deadlineReached() {
        signal.give("the signal's time of \(duration) is over")
        loop.retire(self)
    }
}
