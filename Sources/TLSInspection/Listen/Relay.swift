// One connection of `listen` from its first byte to its last, as a state machine on an event loop: without
// a task, a lock or a buffer of its own while nothing is in its way.
//
// Theory of operation
// - The client's bytes are collected until its hello is whole (`greeting`). Then the backend is reached
//   (`reaching`), and what came so far is sent; the client is not read meanwhile, so its kernel holds the
//   rest. From then on bytes are carried both ways (`carrying`): received into the thread's scratch, sent
//   at once, and kept only as far as the kernel of the other side has no room; nothing more is read from
//   this side until that is gone. An end is handed on, a break breaks the other side.
// - Who is refused gets an alert, and is read until the end within bounds (`parting`), so that a reset
//   does not destroy the alert.
// - The one timer is the client end's: the time for a hello, that to reach the backend, idleness, and
//   the goodbye come one after the other.

import SocketCore
import Sockets

/// One connection; touched on its loop's thread alone.
final class Relay: @unchecked Sendable {
    // Sendable: all that changes is touched on the loop's thread alone.

    private enum Stage { case greeting, reaching, carrying, parting, over }

    private let plan: RelayPlan
    private let floor: RelayFloor
    private let client: RelayEnd
    private let remote: NetworkAddress
    private var backend: RelayEnd?
    private var stage = Stage.greeting
    private var peek: HelloPeek
    /// What is told of it; nil once it was told.
    private var arrival: Arrival?
    private var way: RelayWay?
    /// Where the backend may be, as far as it was not tried.
    private var candidates: [NetworkAddress] = []
    /// What stands before the hello.
    private var preface: [UInt8] = []
    /// When the time of `reaching` is over, or when bytes last moved.
    private var mark: LoopInstant
    /// Bytes thrown away while parting.
    private var discarded = 0
    private var isTurnScheduled = false

    init(
        _ descriptor: consuming Descriptor,
        from remote: NetworkAddress,
        on floor: RelayFloor,
        _ plan: RelayPlan
    ) {
        self.plan = plan
        self.floor = floor
        client = RelayEnd(descriptor)
        peek = HelloPeek(limit: plan.limit)
        mark = floor.loop.now
        self.remote = remote.unmapped
        arrival = Arrival(
            time: RelayTime(
                start: plan.start,
                elapsed: plan.startInstant.duration(to: mark)
            ),
            remote: self.remote
        )
    }

    private var loop: EventLoop { floor.loop }

    /// Begins to read; on the loop's thread.
    func start() {
        client.relay = self
        do throws(SystemCallError) {
            try loop.register(client, descriptor: client.descriptor)
            loop.arm(client, at: loop.now.advanced(by: plan.timeout))
        } catch {
            arrival?.error = error.description
            tell()
            finish(isCut: true)
        }
    }

    /// Breaks it off without a word; on the loop's thread.
    func abort() { finish(isCut: true) }

    // MARK: What happens

    /// An end had an edge.
    func moved(_ end: RelayEnd, isBroken: Bool) {
        switch stage {
        case .greeting: readHello()
        case .reaching:
            if end === client {
                guard isBroken else { return }
                arrival?.error = "the client broke off before the backend was reached"
                tell()
                finish(isCut: true)
            } else if end.mayWrite {
                greetBackend()
            }
        case .carrying: carry()
        case .parting: discard()
        case .over: break
        }
    }

    /// The timer has fired.
    func deadlineReached() {
        switch stage {
        case .greeting:
            fail(.timeout, "no ClientHello in time")
            finish(isCut: false)
        case .reaching where loop.now < mark: connect()
        case .reaching:
            unreached(.system(.timedOut, "connect", address: shown, phase: .connecting))
        case .carrying:
            guard let idle = plan.idle else { return }
            let end = mark.advanced(by: idle)
            if end <= loop.now { finish(isCut: true) } else { loop.arm(client, at: end) }
        case .parting: finish(isCut: false)
        case .over: break
        }
    }

    // MARK: The hello

    private func readHello() {
        while client.mayRead {
            switch client.receive() {
            case .bytes(let count):
                // What `receive` wrote; nothing has used the scratch since.
                let piece = unsafe Array(ThreadScratch.input()[..<count])
                do throws(TLSError) {
                    guard let hello = try peek.take(piece) else { continue }
                    return route(hello)
                } catch {
                    return refuseBeginning(error)
                }
            case .later: return
            case .end:
                fail(.closed, "the end came before a ClientHello")
                return finish(isCut: false)
            case .lost(let errno):
                fail(.closed, SocketError.system(errno, "recv").description)
                return finish(isCut: true)
            }
        }
    }

    private func refuseBeginning(_ error: TLSError) {
        let result: HelloRecord.Outcome =
            switch error.code {
            case .notTLS: .notTLS
            case .clientHelloTooLarge: .tooLarge
            default: .malformed
            }
        fail(result, error.detail ?? error.description)
        part(result == .malformed ? .decodeError : nil)
    }

    private func fail(_ result: HelloRecord.Outcome, _ reason: String) {
        arrival?.result = result
        arrival?.error = reason
        arrival?.received = peek.bytes.count
        arrival?.beginning = Array(peek.bytes.prefix(Arrival.beginningMax))
        tell()
    }

    private func route(_ hello: ClientHello) {
        arrival?.result = .tls
        arrival?.said = SaidHello(hello)
        arrival?.received = peek.bytes.count
        guard let (key, way) = plan.way(of: hello) else {
            if plan.routes != nil { arrival?.error = "no route" }
            tell()
            return part(plan.routes == nil ? .handshakeFailure : .unrecognizedName)
        }
        arrival?.route = key
        arrival?.way = way
        self.way = way
        if !way.isPage {
            preface = plan.preface(hello, from: remote) {
                StreamSocket.localAddress(client.descriptor)?.unmapped
            }
        }
        stage = .reaching
        mark = loop.now.advanced(by: plan.timeout)
        loop.arm(client, at: mark)
        switch way.endpoint {
        case .address(let address):
            candidates = [address]
            connect()
        case .name(let name, let port): resolve(name, port)
        }
    }

    // MARK: The backend

    private func resolve(_ name: HostName, _ port: UInt16) {
        Task {
            let found: Result<[NetworkAddress], ResolutionError>
            do throws(ResolutionError) {
                let all = try await Resolver.resolve(name.text, family: .any)
                found = .success(all.reversed().map { .ip($0, port: port) })
            } catch {
                found = .failure(error)
            }
            loop.execute { [self] in
                guard stage == .reaching else { return }
                switch found {
                case .success(let addresses):
                    candidates = addresses
                    connect()
                case .failure(let error): unreached("\(error)")
                }
            }
        }
    }

    /// Tries the next candidate; the last in the list is the first to be tried.
    private func connect() {
        guard let address = candidates.last else { return }
        do throws(SystemCallError) {
            let descriptor = try StreamSocket.make(for: address)
            try SocketOptions(noDelay: true).apply(
                to: descriptor.rawValue,
                family: address.family
            )
            if way?.isPage == true, address.family == .unix {
                // A name of the system's choice, by which the page knows its clients apart.
                try StreamSocket.bind(descriptor, to: .unix(path: ""))
            }
            let progress = try StreamSocket.connect(descriptor, to: address)
            candidates.removeLast()
            let end = RelayEnd(descriptor)
            backend = end
            end.relay = self
            try loop.register(end, descriptor: end.descriptor)
            loop.arm(client, at: mark)
            guard progress == .connected else { return }
            end.noteConnected()
            greetBackend()
        } catch {
            switch error.errno {
            case .tooManyOpenFiles, .tooManyOpenFilesInSystem, .noBufferSpace, .noMemory,
                .wouldBlock:
                // Others will give theirs back; EAGAIN is a unix listener whose queue is full.
                let again = loop.now.advanced(by: RelayPlan.exhaustionPause)
                loop.arm(client, at: min(again, mark))
            default:
                if candidates.last == address { candidates.removeLast() }
                failed(error.errno, error.call)
            }
        }
    }

    /// Sends what came so far to a backend that may be there.
    private func greetBackend() {
        guard let backend else { return }
        if let errno = backend.isHungUp ? StreamSocket.pendingError(backend.descriptor) : nil {
            return failed(errno, "connect")
        }
        // One array where there is nothing in front.
        let bytes = preface.isEmpty ? peek.bytes : preface + peek.bytes
        if let errno = backend.send(bytes) { return failed(errno, "connect") }
        peek = HelloPeek(limit: 0)
        preface = []
        candidates = []
        stage = .carrying
        mark = loop.now
        if let idle = plan.idle {
            loop.arm(client, at: mark.advanced(by: idle))
        } else {
            loop.disarm(client)
        }
        tell()
        carry()
    }

    /// One candidate has failed.
    private func failed(_ errno: Errno, _ call: String) {
        backend?.close(on: loop, isCut: false)
        backend = nil
        guard candidates.isEmpty else { return connect() }
        unreached(.system(errno, call, address: shown, phase: .connecting))
    }

    private func unreached(_ error: SocketError) { unreached(error.description) }

    private func unreached(_ reason: String) {
        backend?.close(on: loop, isCut: false)
        backend = nil
        arrival?.error = reason
        tell()
        part(.internalError)
    }

    private var shown: SocketAddress? {
        way.map { way in
            switch way.endpoint {
            case .address(let address): SocketAddress(address)
            case .name(let name, let port): SocketAddress(name.text, port: port)
            }
        }
    }

    // MARK: Carrying

    private func carry() {
        guard let backend else { return }
        var budget = RelayPlan.burstMax
        guard move(client, to: backend, &budget), move(backend, to: client, &budget) else {
            return finish(isCut: true)
        }
        if client.isAtEnd, backend.isAtEnd, client.isFlushed, backend.isFlushed {
            return finish(isCut: false)
        }
        mark = loop.now
        guard budget <= 0, !isTurnScheduled else { return }
        isTurnScheduled = true
        loop.execute { [self] in
            isTurnScheduled = false
            if stage == .carrying { carry() }
        }
    }

    /// Carries one direction as far as it goes now; false when it is cut off.
    private func move(_ source: RelayEnd, to sink: RelayEnd, _ budget: inout Int) -> Bool {
        guard sink.flush() == nil else { return false }
        while sink.isFlushed, source.mayRead, budget > 0 {
            switch source.receive() {
            case .bytes(let count):
                budget -= count
                guard sink.sendReceived(count) == nil else { return false }
            case .later: break
            case .end: break
            case .lost: return false
            }
        }
        // Where both have ended, closing says it.
        if source.isAtEnd, sink.isFlushed, !sink.isAtEnd { sink.shut() }
        return true
    }

    // MARK: The end

    /// Says why nothing follows, in a record that every version reads (RFC 8446 §6.2), and waits for
    /// the client's goodbye.
    private func part(_ alert: Alert?) {
        stage = .parting
        peek = HelloPeek(limit: 0)
        // Few bytes that nothing stands before: the kernel takes all of them or none.
        client.noteConnected()
        if let alert, client.send([21, 3, 1, 0, 2, 2, alert.code]) != nil {
            return finish(isCut: true)
        }
        client.shut()
        loop.arm(client, at: loop.now.advanced(by: RelayPlan.partingTime))
        discard()
    }

    private func discard() {
        while client.mayRead {
            switch client.receive() {
            case .bytes(let count):
                discarded += count
                guard discarded < RelayPlan.partingBytes else { return finish(isCut: false) }
            case .later: return
            case .end, .lost: return finish(isCut: false)
            }
        }
    }

    private func tell() {
        if let arrival { plan.tell(arrival) }
        arrival = nil
    }

    private func finish(isCut: Bool) {
        guard stage != .over else { return }
        stage = .over
        peek = HelloPeek(limit: 0)
        client.close(on: loop, isCut: isCut)
        backend?.close(on: loop, isCut: isCut)
        backend = nil
        floor.remove(self)
        plan.over()
    }
}
