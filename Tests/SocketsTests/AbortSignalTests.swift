import Testing

@testable import Sockets

@Suite(.timeLimit(.minutes(1))) struct AbortSignalTests {
    @Test("a controller gives its signal once, with the first reason")
    func controller() {
        let controller = AbortController()
        let log = Log<String?>()
        controller.signal.onAbort { log.append($0) }
        #expect(!controller.signal.aborted)
        #expect(controller.signal.reason == nil)
        controller.abort("first")
        controller.abort("second")
        #expect(controller.signal.aborted)
        #expect(controller.signal.reason == "first")
        #expect(log.all == ["first"])
    }

    @Test("who asks after a signal was given is told at once")
    func late() {
        let log = Log<String?>()
        AbortSignal.abort("before").onAbort { log.append($0) }
        #expect(log.all == ["before"])
    }

    @Test("handlers are called in the order they were added")
    func order() {
        let controller = AbortController()
        let log = Log<Int>()
        for number in 0..<20 { controller.signal.onAbort { _ in log.append(number) } }
        controller.abort()
        #expect(log.all == Array(0..<20))
    }

    @Test("a handler that was taken out is not called")
    func unregister() {
        let controller = AbortController()
        let log = Log<Int>()
        let number = controller.signal.register { _ in log.append(1) }
        controller.signal.unregister(number)
        controller.abort()
        #expect(log.count == 0)
    }

    @Test("a timeout gives its signal when its time is over, not before")
    func timeout() async {
        let began = ContinuousClock.now
        let signal = AbortSignal.timeout(.milliseconds(30))
        let gate = Gate()
        signal.onAbort { _ in gate.open() }
        await gate.wait()
        #expect(signal.aborted)
        #expect(signal.reason != nil)
        #expect(ContinuousClock.now - began >= .milliseconds(30))
    }

    @Test("a timeout of nothing is given at once", arguments: [Duration.zero, .seconds(-1)])
    func noTime(duration: Duration) async {
        let signal = AbortSignal.timeout(duration)
        let gate = Gate()
        signal.onAbort { _ in gate.open() }
        await gate.wait()
        #expect(signal.aborted)
    }

    @Test("any is given with the first of the others, whenever that was")
    func any() {
        let (first, second) = (AbortController(), AbortController())
        let combined = AbortSignal.any([first.signal, second.signal])
        #expect(!combined.aborted)
        second.abort("second")
        first.abort("first")
        #expect(combined.reason == "second")
        #expect(AbortSignal.any([first.signal]).reason == "first")
        #expect(!AbortSignal.any([]).aborted)
    }

    @Test("a dropped combination leaves nothing behind in signals that live on")
    func anyIsDropped() {
        let controller = AbortController()
        weak let combined = AbortSignal.any([controller.signal])
        #expect(combined == nil)
        #expect(controller.signal.handlerCount == 0)
    }

    @Test(
        "a signal aborts its socket at any moment, and one that was given before does",
        arguments: Wire.allCases
    )
    func socket(wire: Wire) async throws {
        let controller = AbortController()
        let pair = try await Pair(wire) { $0.signal = controller.signal }
        async let reading = thrown { _ = try await pair.client.read() }
        await until { pair.client.hasReader }
        controller.abort("stop")
        #expect(await reading?.code == .aborted)
        #expect(await pair.client.closed == .aborted("stop"))
        let late = try makeClient(wire, to: pair.listener.localAddress) {
            $0.signal = controller.signal
        }
        #expect(await thrown { _ = try await late.ready }?.detail == "stop")
        #expect(await late.closed == .aborted("stop"))
    }

    @Test("a socket that is gone leaves nothing behind in its signal")
    func socketIsDropped() async throws {
        let controller = AbortController()
        let pair = try await Pair(.tcp)
        var socket: Socket? = try makeClient(.tcp, to: pair.listener.localAddress) {
            $0.signal = controller.signal
        }
        _ = try await socket?.ready
        #expect(controller.signal.handlerCount == 1)
        socket = nil
        #expect(controller.signal.handlerCount == 0)
    }

    @Test("a signal closes its listener and aborts its connections")
    func listener() async throws {
        let controller = AbortController()
        let pair = try await Pair(.tcp, server: { $0.signal = controller.signal })
        controller.abort("stop")
        #expect(await pair.listener.closed == .aborted("stop"))
        #expect(await pair.server.closed == .aborted("stop"))
        #expect(await thrown { _ = try await pair.client.read() }?.code == .peerReset)
    }
}
