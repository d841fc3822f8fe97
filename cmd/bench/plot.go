package bench

import (
	"cmp"
	"fmt"
	"html"
	"math"
	"slices"
	"strings"
)

// Plot is a line chart, drawn as one SVG that reads on light and dark pages.
type Plot struct {
	Title, X, Y      string
	MaxX, MinY, MaxY float64
	LogY             bool // Y is in seconds, on a logarithmic scale.
	Lines            []Line
}

// Line is one curve. The first of a plot is drawn as the one that matters.
type Line struct {
	Name   string
	Points [][2]float64
}

const (
	plotWidth, plotHeight                        = 820, 440
	plotLeft, plotRight, plotTop, plotBottom int = 70, 200, 60, 48
)

var lineColours = []string{"#1a7f5a", "#b3541e", "#8250df", "#2f6fb3", "#7d8590", "#b58900"}

// SVG draws the plot.
func (p Plot) SVG() string {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="system-ui,sans-serif" font-size="12" role="img">`+"\n", plotWidth, plotHeight)
	fmt.Fprintf(&b, "<title>%s</title>\n<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n", html.EscapeString(p.Title))
	text := func(x, y float64, anchor, extra, s string) {
		fmt.Fprintf(&b, `<text x="%.1f" y="%.1f" text-anchor="%s" fill="#24292f"%s>%s</text>`+"\n", x, y, anchor, extra, html.EscapeString(s))
	}
	text(float64(plotLeft), 24, "start", ` font-size="15" font-weight="600"`, p.Title)
	bottom := float64(plotHeight - plotBottom)
	for _, y := range p.ticksY() {
		at := p.y(y)
		fmt.Fprintf(&b, `<line x1="%d" y1="%.1f" x2="%d" y2="%.1f" stroke="#d8dee4"/>`+"\n", plotLeft, at, plotWidth-plotRight, at)
		text(float64(plotLeft)-8, at+4, "end", "", p.label(y))
	}
	steps := 5.0
	if math.Mod(p.MaxX, 6) == 0 { // hours
		steps = 6
	}
	for i := range int(steps) + 1 {
		x := p.MaxX * float64(i) / steps
		text(p.x(x), bottom+18, "middle", "", fmt.Sprintf("%g", x))
	}
	text((float64(plotLeft)+float64(plotWidth-plotRight))/2, bottom+38, "middle", "", p.X)
	text(4, float64(plotTop)-6, "start", "", p.Y)
	ends := make([]int, len(p.Lines))
	for i, l := range p.Lines {
		ends[i] = i
		width := 1.6
		if i == 0 {
			width = 2.8
		}
		var points strings.Builder
		for _, at := range l.Points {
			fmt.Fprintf(&points, "%.1f,%.1f ", p.x(at[0]), p.y(at[1]))
		}
		fmt.Fprintf(&b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="%.1f" stroke-linejoin="round"/>`+"\n",
			strings.TrimSpace(points.String()), lineColours[i%len(lineColours)], width)
	}
	// The names stand at the ends of their lines, moved apart.
	end := func(i int) float64 { return p.y(p.Lines[i].Points[len(p.Lines[i].Points)-1][1]) }
	slices.SortFunc(ends, func(i, j int) int { return cmp.Compare(end(i), end(j)) })
	last := float64(plotTop) - 16
	places := make([]float64, len(ends))
	for n, i := range ends {
		last = math.Max(end(i)+4, last+16)
		places[n] = last
	}
	for n, limit := len(places)-1, bottom+4; n >= 0; n, limit = n-1, limit-16 {
		places[n] = math.Min(places[n], limit)
	}
	for n, i := range ends {
		weight := ""
		if i == 0 {
			weight = ` font-weight="600"`
		}
		fmt.Fprintf(&b, `<text x="%d" y="%.1f" fill="%s"%s>%s</text>`+"\n", plotWidth-plotRight+8, places[n],
			lineColours[i%len(lineColours)], weight, html.EscapeString(p.Lines[i].Name))
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func (p Plot) x(v float64) float64 {
	return float64(plotLeft) + v/p.MaxX*float64(plotWidth-plotLeft-plotRight)
}

func (p Plot) y(v float64) float64 {
	share := (v - p.MinY) / (p.MaxY - p.MinY)
	if p.LogY {
		share = math.Log(math.Max(v, p.MinY)/p.MinY) / math.Log(p.MaxY/p.MinY)
	}
	return float64(plotHeight-plotBottom) - math.Min(1, share)*float64(plotHeight-plotTop-plotBottom)
}

func (p Plot) ticksY() []float64 {
	if p.LogY {
		return []float64{0.1, 1, 10, 60, 600, 3600, 6 * 3600, 24 * 3600}
	}
	var ticks []float64
	for i := range 6 {
		ticks = append(ticks, p.MinY+(p.MaxY-p.MinY)*float64(i)/5)
	}
	return ticks
}

func (p Plot) label(v float64) string {
	switch {
	case !p.LogY:
		return fmt.Sprintf("%g", v)
	case v < 60:
		return fmt.Sprintf("%g s", v)
	case v < 3600:
		return fmt.Sprintf("%g min", v/60)
	default:
		return fmt.Sprintf("%g h", v/3600)
	}
}
