// The rules of the house, as tests: each rule holds in the tree, and each can be broken.

import Testing

@Suite struct TidyTests {
    @Test("the package keeps every rule", arguments: TidyRule.all)
    func packageKeeps(_ rule: TidyRule) throws {
        for finding in rule.findings(try SourceTree.package.get()) {
            Issue.record("\(finding)")
        }
    }

    @Test("every rule finds what breaks it", arguments: TidyRule.all)
    func ruleCanFail(_ rule: TidyRule) {
        #expect(!rule.broken.isEmpty)
        for (index, sample) in rule.broken.enumerated() {
            #expect(!rule.findings(sample).isEmpty, "broken sample \(index) passes")
        }
    }

    @Test("every rule lets pass what keeps it", arguments: TidyRule.all)
    func ruleCanHold(_ rule: TidyRule) {
        let findings = rule.findings(rule.kept)
        #expect(findings.isEmpty, "\(findings)")
    }

    @Test("the tree that is read is this package")
    func treeIsPackage() throws {
        let tree = try SourceTree.package.get()
        #expect(tree.file("Package.swift") != nil)
        #expect(tree.file("Tests/TidyTests/TidyTests.swift")?.tokens.isEmpty == false)
        #expect(tree.files.contains { $0.module == "TLSEngine" })
    }
}
