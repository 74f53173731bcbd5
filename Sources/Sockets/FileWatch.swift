// Looks at a listener's files now and then, and has them read anew when they have changed. It asks the
// file system and is not told by it: what tells (inotify) knows nothing of network file systems, and of a
// link that points elsewhere only who watches every directory on the way.

import SocketCore
import Synchronization

/// Watches the files that a configuration was made of.
final class FileWatch: Sendable {
    /// What became of an attempt to read the files anew.
    enum Outcome: Sendable {
        /// Another watch goes on, or none.
        case over
        /// They could not be used.
        case retry
    }

    /// The longest pause behind files that could not be used.
    static let retryPause = Duration.seconds(1)

    private struct State {
        var stamps: [String: FileStamp?]
        var digest: [UInt8]
        /// They might be changed without another stamp.
        var isFresh: Bool
        /// The last attempt came to nothing.
        var isFailing = false
        /// What was told of it.
        var told: String?
        var task: Task<Void, Never>?
        var isOver = false
    }

    private let state: Mutex<State>
    private let interval: Duration

    /// Makes a watch over files as they were read, which does nothing before it is started.
    init(_ snapshot: FileSnapshot, interval: Duration) {
        self.interval = interval
        state = Mutex(
            State(
                stamps: snapshot.stamps,
                digest: snapshot.digest,
                isFresh: FileWatch.isFresh(snapshot.stamps)
            )
        )
    }

    /// Starts to look.
    ///
    /// - Parameter attempt: Reads the files anew.
    func start(_ attempt: @escaping @Sendable () -> Outcome) {
        state.withLock { s in
            guard !s.isOver, s.task == nil else { return }
            s.task = Task { [weak self, interval] in
                var sinceAttempt = Duration.zero
                var pause = interval
                while (try? await Task.sleep(for: pause, clock: .continuous)) != nil {
                    sinceAttempt += pause
                    guard let self else { return }
                    if self.mustRead(isDue: sinceAttempt >= interval) {
                        guard case .retry = attempt() else { return }
                        sinceAttempt = .zero
                        self.state.withLock { $0.isFailing = true }
                    }
                    pause =
                        self.state.withLock { $0.isFailing }
                        ? min(interval, FileWatch.retryPause) : interval
                }
            }
        }
    }

    /// Ends it.
    func stop() {
        let task = state.withLock { s in
            s.isOver = true
            return s.task.take()
        }
        task?.cancel()
    }

    /// Whether a failure is another than the one that was told last.
    func isNews(_ error: SocketError) -> Bool {
        state.withLock { s in
            defer { s.told = error.description }
            return s.told != error.description
        }
    }

    /// Looks at the files.
    ///
    /// - Parameter isDue: Whether files that could not be used are tried again as they are.
    /// - Returns: Whether to read them anew.
    private func mustRead(isDue: Bool) -> Bool {
        state.withLock { s in
            let paths = Array(s.stamps.keys)
            let isSame = FileSnapshot.stamps(of: paths) == s.stamps
            if isSame, !s.isFresh { return s.isFailing && isDue }
            let snapshot = FileSnapshot(reading: paths)
            let digest = snapshot.digest
            defer {
                s.stamps = snapshot.stamps
                s.digest = digest
                s.isFresh = FileWatch.isFresh(snapshot.stamps)
            }
            return s.digest != digest || (s.isFailing && isDue)
        }
    }

    private static func isFresh(_ stamps: [String: FileStamp?]) -> Bool {
        let now = UnixTime.now.seconds
        return stamps.values.contains { $0?.isFresh(at: now) ?? false }
    }
}
