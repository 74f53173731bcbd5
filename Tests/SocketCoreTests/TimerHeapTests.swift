import SocketCore
import Testing

@Suite struct TimerHeapTests {
    private func at(_ nanoseconds: UInt64) -> LoopInstant {
        LoopInstant(nanoseconds: nanoseconds)
    }

    @Test("entries come out in the order of their deadlines, and only when due")
    func order() {
        var heap = TimerHeap<String>()
        _ = heap.insert("b", at: at(20))
        _ = heap.insert("c", at: at(30))
        _ = heap.insert("a", at: at(10))
        #expect(heap.earliest == at(10))
        #expect(heap.popDue(at(9)) == nil)
        #expect(heap.popDue(at(10)) == "a")
        #expect(heap.popDue(at(29)) == "b")
        #expect(heap.popDue(at(29)) == nil)
        #expect(heap.count == 1)
        #expect(heap.popFirst() == "c")
        #expect(heap.popFirst() == nil)
        #expect(heap.isEmpty)
        #expect(heap.earliest == nil)
    }

    @Test("an entry moves earlier, later and away")
    func move() {
        var heap = TimerHeap<String>()
        let first = heap.insert("first", at: at(10))
        let second = heap.insert("second", at: at(20))
        let third = heap.insert("third", at: at(30))
        heap.move(third, to: at(5))
        #expect(heap.earliest == at(5))
        heap.move(third, to: at(25))
        #expect(heap.earliest == at(10))
        #expect(heap.remove(first) == "first")
        #expect(heap.popFirst() == "second")
        _ = second
        #expect(heap.popFirst() == "third")
    }

    @Test("a slot is used again after its entry has gone")
    func slots() {
        var heap = TimerHeap<Int>()
        let slots = (0..<10).map { heap.insert($0, at: at(UInt64($0))) }
        for slot in slots {
            heap.remove(slot)
        }
        let again = (0..<10).map { heap.insert($0, at: at(UInt64($0))) }
        #expect(Set(again) == Set(slots))
    }

    @Test("a heap gives what a sorted array gives", arguments: [1, 2, 3, 4, 5] as [UInt64])
    func randomised(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var heap = TimerHeap<Int>()
        var model: [Int: (slot: TimerHeap<Int>.Slot, deadline: UInt64)] = [:]
        var nextID = 0
        for _ in 0..<4000 {
            let deadline = UInt64.random(in: 0..<500, using: &random)
            switch Int.random(in: 0..<10, using: &random) {
            case 0..<4:
                model[nextID] = (heap.insert(nextID, at: at(deadline)), deadline)
                nextID += 1
            case 4..<6:
                guard let (id, entry) = model.randomElement(using: &random) else { continue }
                heap.move(entry.slot, to: at(deadline))
                model[id] = (entry.slot, deadline)
            case 6..<7:
                guard let (id, entry) = model.randomElement(using: &random) else { continue }
                #expect(heap.remove(entry.slot) == id)
                model[id] = nil
            default:
                let earliest = model.values.map(\.deadline).min()
                #expect(heap.earliest == earliest.map(at))
                let now = deadline / 4
                let popped = heap.popDue(at(now))
                #expect((popped != nil) == (earliest.map { $0 <= now } ?? false))
                if let popped {
                    #expect(model[popped]?.deadline == earliest)
                    model[popped] = nil
                }
            }
            #expect(heap.count == model.count)
        }
        var rest: [UInt64] = []
        while let id = heap.popFirst() {
            rest.append(model[id]?.deadline ?? .max)
        }
        #expect(rest == model.values.map(\.deadline).sorted())
    }
}

@Suite struct LoopInstantTests {
    @Test("instants add and subtract, clamped at both ends")
    func arithmetic() {
        let instant = LoopInstant(nanoseconds: 1_000)
        #expect(instant.advanced(by: .nanoseconds(5)) == LoopInstant(nanoseconds: 1_005))
        #expect(instant.advanced(by: .seconds(2)).nanoseconds == 2_000_001_000)
        #expect(instant.advanced(by: .nanoseconds(-400)).nanoseconds == 600)
        #expect(instant.advanced(by: .seconds(-5)).nanoseconds == 0)
        #expect(instant.advanced(by: .seconds(Int64.max)) == .distantFuture)
        #expect(instant.advanced(by: .seconds(Int64.min)).nanoseconds == 0)
        #expect(instant.advanced(byNanoseconds: .max) == .distantFuture)
        #expect(instant.duration(to: LoopInstant(nanoseconds: 1_250)) == .nanoseconds(250))
        #expect(instant.duration(to: LoopInstant(nanoseconds: 250)) == .nanoseconds(-750))
    }

    @Test("the clock does not go back")
    func clock() {
        let first = EventLoop.readClock()
        #expect(EventLoop.readClock() >= first)
        #expect(first.nanoseconds > 0)
    }
}
