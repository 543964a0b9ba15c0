package words_test

import (
	"testing"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/words"
	"github.com/dockerfw/dockerfw/compiler/packet"
)

func TestNounsHaveTheirPlural(t *testing.T) {
	for want, got := range map[string]string{
		"0 errors":   words.Count(0, "error"),
		"1 error":    words.Count(1, "error"),
		"2 prefixes": words.Count(2, "prefix"),
		"2 entries":  words.Count(2, "entry"),
		"2 days":     words.Count(2, "day"),
		"3 matches":  words.Count(3, "match"),
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestProtocolsThatReportsListHaveNames(t *testing.T) {
	for number, want := range map[uint8]string{
		1: "icmp", 6: "tcp", 17: "udp", 33: "dccp", 47: "protocol 47", 58: "icmpv6", 132: "sctp", 136: "udplite",
	} {
		if got := words.Protocol(number); got != want {
			t.Errorf("protocol %d is %q, want %q", number, got, want)
		}
	}
}

func TestAListNeverLeavesOutASingleItem(t *testing.T) {
	items := []string{"a", "b", "c", "d"}
	for limit, want := range map[int]string{0: "a, b, c, d", 2: "a, b and 2 more", 3: "a, b, c, d", 4: "a, b, c, d"} {
		if got := words.List(items, limit); got != want {
			t.Errorf("limit %d: got %q, want %q", limit, got, want)
		}
	}
}

func TestTheLastItemIsJoinedByAWord(t *testing.T) {
	for want, got := range map[string]string{
		"":          words.And(nil),
		"a":         words.Or([]string{"a"}),
		"a and b":   words.And([]string{"a", "b"}),
		"a, b or c": words.Or([]string{"a", "b", "c"}),
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestICMPTypesHaveTheirCodesWhereTheyMatter(t *testing.T) {
	got := words.ICMPTypes([]packet.ICMPType{
		{FirstType: 8, LastType: 8, LastCode: 255},
		{FirstType: 3, LastType: 3, FirstCode: 4, LastCode: 4},
		{FirstType: 11, LastType: 12, LastCode: 255},
	})
	if want := "type 8, type 3/4, type 11-12"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
