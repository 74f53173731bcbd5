// A program of others, run for the length of a closure.
//
// Its output is captured by two threads that do nothing else, and who waits for something in it is
// resumed when it comes: nothing here polls. The program is killed, by its own process id, when the
// closure returns or throws, and at a deadline, so a row that went wrong ends instead of hanging.

import Dispatch
import Foundation
import Glibc
import Synchronization
import Testing

/// What is known of a running program.
struct ForeignState: Sendable {
    var standardOutput: [UInt8] = []
    var standardError: [UInt8] = []
    /// Pipes that have not ended yet, of two.
    var openPipes = 2
    /// The exit code, or the negative number of the signal that ended it; nil while it runs.
    var exitCode: Int32?
    /// Whether its time was over before it ended.
    var isOverdue = false

    /// Whether no more output comes.
    var isOver: Bool { exitCode != nil && openPipes == 0 }
    /// Everything it has said, errors first.
    var text: String {
        String(decoding: standardError + standardOutput, as: UTF8.self)
    }

    fileprivate var waiters: [CheckedContinuation<Void, Never>] = []
}

/// A program that ended, or fell silent, before it did what was waited for.
struct ForeignFailure: Error, CustomStringConvertible {
    let description: String
}

/// What a program says and how it ends, written by the threads that watch it.
private final class ForeignRecord: Sendable {
    let state = Mutex(ForeignState())

    func update(_ change: (inout ForeignState) -> Void) {
        let waiters = state.withLock { s in
            change(&s)
            defer { s.waiters = [] }
            return s.waiters
        }
        for waiter in waiters { waiter.resume() }
    }

    /// Reads a pipe to its end, on a thread of its own.
    func watch(
        _ pipe: FileHandle,
        _ keep: @escaping @Sendable (inout ForeignState, [UInt8]) -> Void
    ) {
        Thread.detachNewThread { [self] in
            while true {
                let piece = readSome(pipe)
                guard !piece.isEmpty else { break }
                update { keep(&$0, piece) }
            }
            try? pipe.close()
            update { $0.openPipes -= 1 }
        }
    }

    func noteEnd(of process: Process) {
        let status = process.terminationStatus
        let isSignal = process.terminationReason == .uncaughtSignal
        update { $0.exitCode = isSignal ? -status : status }
    }
}

/// Reads what there is, at least a byte, or nothing at the end.
///
/// `FileHandle.availableData` ends the process when a signal interrupts it.
private func readSome(_ pipe: FileHandle) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: 1 << 16)
    while true {
        let count = unsafe read(pipe.fileDescriptor, &bytes, bytes.count)
        if count >= 0 { return Array(bytes.prefix(count)) }
        guard errno == EINTR else { return [] }
    }
}

/// One run of a program.
final class ForeignProcess: Sendable {
    let program: ForeignProgram
    private let process = Process()
    private let input: FileHandle
    private let record = ForeignRecord()

    /// Runs a program until the closure returns.
    ///
    /// - Parameters:
    ///   - program: What to run.
    ///   - arguments: Its arguments.
    ///   - environment: Its environment; the same wherever the tests run by default.
    ///   - input: What it reads from; nil is a pipe, which ``write(_:)`` writes to.
    ///   - deadline: Seconds after which it is killed.
    ///   - body: Gets the running program.
    /// - Returns: What the closure returns.
    /// - Throws: ``ForeignFailure`` when it is not installed, or what the closure throws.
    static func run<Result>(
        _ program: ForeignProgram,
        _ arguments: [String],
        environment: [String: String] = standardEnvironment,
        input: FileHandle? = nil,
        deadline: Int = 50,
        _ body: (ForeignProcess) async throws -> Result
    ) async throws -> Result {
        let running = try ForeignProcess(program, arguments, environment, input, deadline)
        defer { running.kill() }
        return try await body(running)
    }

    /// No settings of this user, and messages in English.
    static let standardEnvironment: [String: String] = {
        var environment = [
            "PATH": ForeignProgram.searchPath, "LC_ALL": "C", "HOME": "/nonexistent",
        ]
        // What gives a peer the date of this process (Scripts/check.sh future).
        environment["LD_PRELOAD"] = ProcessInfo.processInfo.environment["SOCKETS_PEERS_PRELOAD"]
        return environment
    }()

    /// Programs are started one at a time: a pipe made for one must not be open in another, or its
    /// end would never be seen.
    private static let starting = Mutex(())

    private init(
        _ program: ForeignProgram,
        _ arguments: [String],
        _ environment: [String: String],
        _ given: FileHandle?,
        _ deadline: Int
    ) throws {
        self.program = program
        process.executableURL = URL(fileURLWithPath: try program.requirePath())
        process.arguments = arguments
        process.environment = environment
        process.terminationHandler = { [record] in record.noteEnd(of: $0) }
        let pipes = try Self.starting.withLock { [process] _ in
            let pipes = (input: Pipe(), output: Pipe(), error: Pipe())
            if let given {
                process.standardInput = given
            } else {
                process.standardInput = pipes.input
            }
            process.standardOutput = pipes.output
            process.standardError = pipes.error
            try process.run()
            return pipes
        }
        input = pipes.input.fileHandleForWriting
        record.watch(pipes.output.fileHandleForReading) { $0.standardOutput += $1 }
        record.watch(pipes.error.fileHandleForReading) { $0.standardError += $1 }
        DispatchQueue.global().asyncAfter(deadline: .now() + .seconds(deadline)) { [weak self] in
            guard let self, process.isRunning else { return }
            record.update { $0.isOverdue = true }
            kill()
        }
    }

    // MARK: Output

    /// What is known now.
    var now: ForeignState { record.state.withLock { $0 } }

    /// Waits until something is to be seen.
    ///
    /// - Parameters:
    ///   - what: What is waited for, in words.
    ///   - look: Looks for it; asked again whenever something changed.
    /// - Returns: What was found.
    /// - Throws: ``ForeignFailure`` when the program is over and it was not found.
    func wait<Found>(
        for what: String,
        _ look: (ForeignState) -> Found?
    ) async throws -> Found {
        while true {
            let (found, isOver) = record.state.withLock { s in (look(s), s.isOver) }
            if let found { return found }
            if isOver { throw failure("ended before \(what)") }
            await withCheckedContinuation { continuation in
                let isLate = record.state.withLock { s in
                    guard look(s) == nil, !s.isOver else { return true }
                    s.waiters.append(continuation)
                    return false
                }
                if isLate { continuation.resume() }
            }
        }
    }

    /// Waits for a text in what the program says.
    func wait(forText text: String) async throws {
        try await wait(for: "it said \"\(text)\"") { $0.text.contains(text) ? () : nil }
    }

    /// Waits until the program has ended and all its output is there.
    func wait() async throws -> ForeignState {
        let state = try await wait(for: "its end") { $0.isOver ? $0 : nil }
        guard !state.isOverdue else { throw failure("was killed at its deadline") }
        return state
    }

    func failure(_ what: String) -> ForeignFailure {
        let state = now
        // What it received may be among it, and is nothing to read.
        let text = state.text.filter { $0.isASCII && ($0 == "\n" || !$0.isWhitespace || $0 == " ") }
        let said = text.suffix(2000).split(separator: "\n").suffix(20).joined(separator: "\n")
        let code = state.exitCode.map { " (exit code \($0))" } ?? ""
        return ForeignFailure(description: "\(program.name) \(what)\(code); it said:\n\(said)")
    }

    // MARK: Input and end

    /// Writes to the program's standard input; returns when the pipe has taken all.
    func write(_ bytes: [UInt8]) async throws {
        let descriptor = input.fileDescriptor
        let isWritten = await withCheckedContinuation { continuation in
            // A thread of its own: a full pipe blocks, and one that broke raises a signal.
            Thread.detachNewThread { continuation.resume(returning: writeAll(bytes, descriptor)) }
        }
        guard isWritten else { throw failure("took no input") }
    }

    func write(_ text: String) async throws {
        try await write(Array(text.utf8))
    }

    /// Ends the program's standard input.
    func closeInput() {
        try? input.close()
    }

    /// Asks the program to end, if it still runs.
    func end(by signal: Int32) {
        if process.isRunning { _ = Glibc.kill(process.processIdentifier, signal) }
    }

    /// Kills the program, if it still runs.
    func kill() {
        if process.isRunning { _ = Glibc.kill(process.processIdentifier, SIGKILL) }
    }
}

/// Writes everything, on a thread that ends behind it.
private func writeAll(_ bytes: [UInt8], _ descriptor: Int32) -> Bool {
    // For this thread only: elsewhere in the process a broken pipe shall be as loud as ever.
    var signals = sigset_t()
    unsafe sigemptyset(&signals)
    unsafe sigaddset(&signals, SIGPIPE)
    unsafe pthread_sigmask(SIG_BLOCK, &signals, nil)
    var written = 0
    while written < bytes.count {
        let count = unsafe bytes.withUnsafeBytes { buffer in
            // Within the array: `written` is less than its count.
            unsafe Glibc.write(
                descriptor,
                buffer.baseAddress?.advanced(by: written),
                buffer.count - written
            )
        }
        if count > 0 {
            written += count
        } else if errno != EINTR {
            return false
        }
    }
    return true
}
