// Package report tests the HTML report in a browser.
package report
