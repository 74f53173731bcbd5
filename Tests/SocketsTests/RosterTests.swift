import Testing

@testable import Sockets

@Suite("Roster: members have places, places are used again")
struct RosterTests {
    @Test("who was added is there until taken out; the others stay")
    func membership() {
        var roster = Roster<String>()
        #expect(roster.isEmpty)
        let first = roster.insert("a")
        let second = roster.insert("b")
        let third = roster.insert("c")
        #expect(Set([first, second, third]).count == 3)
        roster.remove(second)
        #expect(roster.count == 2)
        #expect(roster.all.sorted() == ["a", "c"])
    }

    @Test("a thousand that come and go one after the other take one place")
    func reuse() {
        var roster = Roster<Int>()
        _ = roster.insert(-1)
        let places = Set(
            (0..<1000).map { number in
                let place = roster.insert(number)
                roster.remove(place)
                return place
            }
        )
        #expect(places.count == 1)
        #expect(roster.all == [-1])
    }
}
