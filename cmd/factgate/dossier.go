package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/factgate/factgate/domain"
	"github.com/factgate/factgate/domain/dossier"
)

// defaultVerifier names Factgate itself; whoever signs for a house gives its own.
const defaultVerifier = "https://github.com/factgate/factgate"

// attestationSuffix is what standard tools look for.
const attestationSuffix = ".intoto.jsonl"

func dossierCommand() *cobra.Command {
	var d dossierRun
	cmd := &cobra.Command{
		Use:   "dossier TASK",
		Short: "Write the audit file of a task: all facts, the rule set, a hash chain",
		Long: `Dossier writes everything that is needed to check a task's verdict without this
server: every fact as it is stored, the rule set's text, and a hash chain over all
lines. It reads the task's stream itself, so it works while PostgreSQL is away.

The file is verified before it gets its name. With --key it is signed too: beside
FILE comes FILE.intoto.jsonl, a DSSE envelope with an in-toto statement that holds
an SLSA verification summary of the package.

  factgate dossier TASK -o task.jsonl
  factgate dossier verify task.jsonl`,
		Args: oneTask("factgate dossier TASK -o FILE"),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if d.zh, err = chinese(cmd); err != nil {
				return err
			}
			if d.server == "" {
				d.server = "http://127.0.0.1:8080"
			}
			return d.run(cmd.Context(), args[0])
		},
	}
	serverFlag(cmd, &d.server, "http://127.0.0.1:8080")
	cmd.Flags().StringVarP(&d.out, "output", "o", "", "the file to write (default: dossier-TASK.jsonl)")
	cmd.Flags().StringVar(&d.key, "key", "", "sign with this Ed25519 private key (PEM, PKCS #8)")
	cmd.Flags().StringVar(&d.verifier, "verifier", defaultVerifier, "with --key: URI of whoever vouches for the verdict")
	cmd.AddCommand(dossierVerifyCommand())
	return cmd
}

type dossierRun struct {
	server, out, key, verifier string
	zh                         bool
}

func (d dossierRun) run(ctx context.Context, id string) error {
	var key []byte
	if d.key != "" {
		var err error
		if key, err = os.ReadFile(d.key); err != nil {
			return fmt.Errorf("cannot read the key: %w", err)
		}
		if _, err := dossier.ReadPrivateKey(key); err != nil {
			return inWords(err, d.zh)
		}
	}
	if uri, err := url.Parse(d.verifier); err != nil || !uri.IsAbs() {
		return fmt.Errorf("--verifier %q is not a URI", d.verifier)
	}
	c, err := newClient(d.server, d.zh)
	if err != nil {
		return err
	}
	if d.out == "" {
		d.out = "dossier-" + id + ".jsonl"
	}
	// The name appears when everything behind it is right.
	file, err := os.CreateTemp(filepath.Dir(d.out), ".dossier-*")
	if err != nil {
		return fmt.Errorf("cannot write the dossier: %w", err)
	}
	defer os.Remove(file.Name())
	defer file.Close()
	if err := c.dossier(ctx, id, file); err != nil {
		return err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	report, err := dossier.Verify(file)
	if err != nil {
		return err
	}
	if report.Altered != nil {
		return fmt.Errorf("what %s sent is no whole dossier: %w", c.base, report.Altered)
	}
	if err := errors.Join(file.Chmod(0o644), file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("cannot write the dossier: %w", err)
	}
	if key != nil {
		if err := d.sign(report, key); err != nil {
			return inWords(err, d.zh)
		}
	}
	if err := os.Rename(file.Name(), d.out); err != nil {
		return fmt.Errorf("cannot write the dossier: %w", err)
	}
	show := printer{w: os.Stdout, zh: d.zh}
	show.say("written: %s", "已写入：%s", d.out)
	if key != nil {
		show.say("signed: %s", "已签名：%s", d.out+attestationSuffix)
	}
	show.dossier(report)
	if !report.OK {
		return &exit{code: 1}
	}
	return nil
}

func (d dossierRun) sign(report dossier.Report, pem []byte) error {
	statement, err := dossier.Attest(report, d.verifier, time.Now())
	if err != nil {
		return err
	}
	key, err := dossier.ReadPrivateKey(pem)
	if err != nil {
		return err
	}
	envelope, err := dossier.Sign(statement, key)
	if err != nil {
		return err
	}
	if err := os.WriteFile(d.out+attestationSuffix, envelope, 0o644); err != nil { //nolint:gosec // a signature is for everybody
		return fmt.Errorf("cannot write the signature: %w", err)
	}
	return nil
}

// inWords gives a typed error in the user's language.
func inWords(err error, zh bool) error {
	var known *domain.Error
	if !errors.As(err, &known) {
		return err
	}
	if zh && known.MsgZH != "" {
		return errors.New(known.MsgZH)
	}
	return errors.New(known.Msg)
}

// dossier downloads a task's audit file.
func (c *client) dossier(ctx context.Context, id string, w io.Writer) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+"/api/tasks/"+url.PathEscape(id)+"/dossier.jsonl", nil)
	if err != nil {
		return err
	}
	if c.zh {
		req.Header.Set("Accept-Language", "zh-CN")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("cannot reach the server at %s: %w", c.base, errors.Unwrap(err))
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		var r struct {
			Refused struct{ Code, Message string }
		}
		body, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
		if json.Unmarshal(body, &r) == nil && r.Refused.Code != "" {
			return &refusedError{resp.StatusCode, r.Refused.Code, r.Refused.Message}
		}
		return fmt.Errorf("%s answered %s; is it a Factgate server?", c.base, resp.Status)
	}
	if _, err := io.Copy(w, resp.Body); err != nil {
		return fmt.Errorf("the dossier of %s broke off: %w", c.base, err)
	}
	return nil
}

func dossierVerifyCommand() *cobra.Command {
	var pub, attestation string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "verify FILE",
		Short: "Check an audit file offline: its chain, its verdict and, with --pub, its signature",
		Long: `Verify needs no server and no network. It checks the hash chain and names the first
altered fact, compiles the rule set in the file, recomputes every verdict from the
facts before it, and compares. With --pub it also checks the signature in
FILE.intoto.jsonl and that it speaks of this file and its verdict.

Exit codes:
  0  nothing was altered, the verdict is the recomputed one, the signature holds
  1  something of that is not so; it is said what
  5  any other error`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("give one dossier: factgate dossier verify FILE")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			zh, err := chinese(cmd)
			if err != nil {
				return err
			}
			if attestation == "" {
				attestation = args[0] + attestationSuffix
			}
			return verifyDossier(args[0], pub, attestation, asJSON, zh)
		},
	}
	cmd.Flags().StringVar(&pub, "pub", "", "check the signature with this Ed25519 public key (PEM)")
	cmd.Flags().StringVar(&attestation, "attestation", "", "with --pub: the signature's file (default: FILE.intoto.jsonl)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the report as JSON")
	return cmd
}

// signatureView is what --pub found.
type signatureView struct {
	OK           bool      `json:"ok"`
	Verifier     string    `json:"verifier,omitempty"`
	TimeVerified time.Time `json:"timeVerified,omitzero"`
	Result       string    `json:"verificationResult,omitempty"`
	Problem      string    `json:"problem,omitempty"`
}

func verifyDossier(file, pub, attestation string, asJSON, zh bool) error {
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("cannot read the dossier: %w", err)
	}
	defer f.Close()
	report, err := dossier.Verify(f)
	if err != nil {
		return err
	}
	out := struct {
		dossier.Report
		Signature *signatureView `json:"signature,omitempty"`
	}{Report: report}
	if pub != "" {
		if out.Signature, err = checkSignature(report, pub, attestation, zh); err != nil {
			return err
		}
		out.OK = out.OK && out.Signature.OK
	}
	if asJSON {
		text, err := json.MarshalIndent(out, "", "  ")
		if err != nil {
			return err
		}
		fmt.Println(string(text))
	} else {
		show := printer{w: os.Stdout, zh: zh}
		show.dossier(report)
		show.signature(out.Signature)
	}
	if !out.OK {
		return &exit{code: 1}
	}
	return nil
}

func checkSignature(report dossier.Report, pub, attestation string, zh bool) (*signatureView, error) {
	text, err := os.ReadFile(pub)
	if err != nil {
		return nil, fmt.Errorf("cannot read the public key: %w", err)
	}
	key, err := dossier.ReadPublicKey(text)
	if err != nil {
		return nil, inWords(err, zh)
	}
	f, err := os.Open(attestation)
	if err != nil {
		return nil, fmt.Errorf("cannot read the signature: %w", err)
	}
	defer f.Close()
	var envelope bytes.Buffer
	if _, err := io.Copy(&envelope, io.LimitReader(f, 2<<20)); err != nil {
		return nil, fmt.Errorf("cannot read the signature: %w", err)
	}
	statement, err := dossier.Open(envelope.Bytes(), key)
	if err != nil {
		return &signatureView{Problem: inWords(err, zh).Error()}, nil
	}
	v := &signatureView{
		OK: true, Verifier: statement.Predicate.Verifier.ID, TimeVerified: statement.Predicate.TimeVerified, Result: statement.Predicate.VerificationResult,
	}
	if err := dossier.Match(statement, report); err != nil {
		v.OK, v.Problem = false, inWords(err, zh).Error()
	}
	return v, nil
}

// dossier says what a verification found.
func (p *printer) dossier(r dossier.Report) {
	if a := r.Altered; a != nil {
		why := textView(a.Why).in(p.zh)
		switch {
		case a.Revision != nil && a.ID != "":
			p.say("ALTERED at line %d, fact %s (revision %d): %s", "已被改动：第 %d 行，事实 %s（修订号 %d）：%s", a.Line, a.ID, *a.Revision, why)
		case a.Revision != nil:
			p.say("ALTERED at line %d, fact of revision %d: %s", "已被改动：第 %d 行，修订号 %d 的事实：%s", a.Line, *a.Revision, why)
		default:
			p.say("ALTERED at line %d: %s", "已被改动：第 %d 行：%s", a.Line, why)
		}
		return
	}
	p.say("intact: %d facts of task %s, written %s by %s", "完整：%d 条事实，任务 %s，%s 由 %s 写入",
		r.Facts, r.Task, r.MadeAt.Format(time.RFC3339), r.Tool)
	for _, v := range r.Verdicts {
		switch {
		case v.Equal:
			p.say("verdict %d: %s, rule %s: recomputed with %s version %d, and equal", "结论 %d：%s，规则 %s：按 %s 版本 %d 重新计算，结果一致",
				v.Revision, v.Recorded.Status, v.Recorded.Rule.ID, v.Recorded.RuleSet.Name, v.Recorded.RuleSet.Version)
		case v.Recomputed == nil:
			p.say("verdict %d: DIFFERENT: the facts before it lead to no verdict; recorded is %s", "结论 %d：不一致：其前的事实得不出结论；记录为 %s", v.Revision, v.Recorded.Status)
		default:
			p.say("verdict %d: DIFFERENT", "结论 %d：不一致", v.Revision)
			for _, d := range v.Differences {
				p.say("  %s: recorded %s; recomputed %s", "  %s：记录为 %s；重新计算为 %s", d.Field, d.Recorded, d.Recomputed)
			}
		}
	}
	switch {
	case r.Problem != nil:
		p.say("NOT PROVED: %s", "无法证实：%s", textView(*r.Problem).in(p.zh))
	case len(r.Verdicts) == 0:
		p.say("the task has no verdict yet", "该任务尚无结论")
	}
}

func (p *printer) signature(s *signatureView) {
	switch {
	case s == nil:
	case s.OK:
		p.say("signature holds: %s says %s, at %s", "签名有效：%s 认定 %s，时间 %s", s.Verifier, s.Result, s.TimeVerified.Format(time.RFC3339))
	default:
		p.say("SIGNATURE DOES NOT HOLD: %s", "签名无效：%s", s.Problem)
	}
}

// tool names this program in dossiers.
func tool() string { return "factgate " + version() }
