"""The month end: once for each organization and month, and what it leaves adds up."""

from __future__ import annotations

import asyncio
import io
import re
from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pypdf import PdfReader

from ops_gateway.domains import billing_plans, invoice_pdf
from ops_gateway.domains.billing_lots import Lot, Stretch, left_of, used
from ops_gateway.domains.billing_months import close_all, close_organization, tax_of
from ops_gateway.kernel import fault

DECEMBER, JANUARY = datetime(2031, 12, 1, tzinfo=UTC), datetime(2032, 1, 1, tzinfo=UTC)
FEBRUARY, MARCH = datetime(2032, 2, 1, tzinfo=UTC), datetime(2032, 3, 1, tzinfo=UTC)


class Books:
    """An organization that was made in December 2031."""

    def __init__(self, api, stock, tamper, owner) -> None:
        self.api, self.stock, self.tamper, self.owner = api, stock, tamper, owner
        self.id = owner.organization_id
        api.sql(
            "update organization set created_at = %s where organization_id = %s", DECEMBER, self.id
        )

    def alone(self, *others: Books) -> None:
        """No other organization has a month to close."""
        mine = [self.id, *(other.id for other in others)]
        statement = "update organization set created_at = '2040-01-01Z'"
        self.api.sql(f"{statement} where organization_id <> all (%s)", mine)

    async def on_plan(self, plan: str) -> None:
        """It is on a plan since it was made."""
        self.tamper(
            "insert into organization_plan (organization_id, plan_id, assigned_by, valid_from)"
            " values (%s, %s, 'tests', %s)", self.id, plan, DECEMBER,
        )  # fmt: skip

    def admit(self) -> None:
        """It has the free tier's credits."""
        self.api.sql("insert into free_tier values (%s, 'approved', 'tests')", self.id)

    def born(self, at: datetime) -> None:
        """It was made at a time."""
        statement = "update organization set created_at = %s where organization_id = %s"
        self.api.sql(statement, at, self.id)

    async def act(self, work) -> None:
        """Change something as the platform."""
        principal = self.stock.platform_of(self.owner)
        await self.api.platform.pipeline.act("tests.change", principal, work)

    async def spend(self, credits: int, at: datetime, *, reserved: int = 0, job_type="clip") -> str:
        """A job that was charged at a time; its id."""
        project = await self.api.project(self.owner)
        job = self.stock.job(self.owner, project, "completed")
        self.api.sql("update job set job_type_id = %s where id = %s", job_type, job)
        holds = []

        async def work(ctx):
            holds.append(ctx.hold(max(credits, reserved), job_id=job))
            ctx.settle(holds[0], credits, job_id=job)

        await self.act(work)
        self.tamper("update journal set created_at = %s where hold_id = %s", at, holds[0])
        self.tamper("update hold set created_at = %s where id = %s", at, holds[0])
        return job

    async def reserve(self, credits: int, at: datetime) -> str:
        """A reservation that is open."""
        holds = []

        async def work(ctx):
            holds.append(ctx.hold(credits))

        await self.act(work)
        self.tamper("update hold set created_at = %s where id = %s", at, holds[0])
        return holds[0]

    async def release(self, hold: str) -> None:
        async def work(ctx):
            ctx.void(hold)

        await self.act(work)

    async def move(self, kind: str, credits: int, at: datetime) -> None:
        """Credits that come or go by themselves."""
        made = []

        async def work(ctx):
            made.append(ctx.credit(kind, credits, "moved"))

        await self.act(work)
        self.tamper("update journal set created_at = %s where id = %s", at, made[0])

    async def lots(self):
        """What is left of each lot that expires."""
        principal = self.stock.platform_of(self.owner)
        return await self.api.platform.pipeline.look("tests.lots", principal, left_of)

    async def close(self, at: datetime):
        return await close_organization(self.api.platform.pipeline, self.id, at)

    async def available(self) -> int:
        return (await self.api.ok("billing.credits.balance", as_=self.owner))["available"]

    async def invoices(self):
        return (await self.api.ok("billing.invoices.list", as_=self.owner))["invoices"]

    def laws(self) -> None:
        """Nothing of the ledger is broken, and nothing is billed twice or in part."""
        assert all(f["faults"] == 0 for f in self.api.sql("select * from ledger_faults()"))
        assert not self.api.sql(
            "select from billed_charge b join journal j on j.id = b.journal_id"
            " where b.credits <> j.charged"
        )


@pytest.fixture
def run_books(platform_on, dsn, tmp_path, tamper, stock_of):
    """Runs a coroutine on books of its own; the platform is one for all of them."""
    with asyncio.Runner() as runner:
        platform = platform_on(dsn, tmp_path, "gateway")
        api = runner.run(platform.__aenter__())

        async def whole(body) -> None:
            await body(Books(api, stock_of(api), tamper, await api.organization()))

        yield lambda body: runner.run(whole(body))
        runner.run(platform.__aexit__(None, None, None))


@pytest.fixture
async def books(api, stock, tamper) -> Books:
    return Books(api, stock, tamper, await api.organization("Kōwhai Maps & <Sons> 地図"))


async def read_pdf(api, answer) -> tuple[str, bytes]:
    """The text of an invoice's PDF, by its link alone."""
    response = await api.client.get(answer["download_url"].removeprefix("http://testserver"))
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/pdf"
    pages = PdfReader(io.BytesIO(response.content)).pages
    return "\n".join(page.extract_text() for page in pages), response.content


def cents(text: str) -> int:
    sign = -1 if text.startswith("-") else 1
    whole, part = text.lstrip("-").replace(",", "").split(".")
    return sign * (int(whole) * 100 + int(part))


# ---------------------------------------------------------------- one month


async def test_a_month_is_closed_once_and_its_invoice_adds_up(books, api):
    await books.on_plan("team")
    await books.spend(120, DECEMBER + timedelta(days=3), reserved=150)
    await books.spend(30, JANUARY - timedelta(microseconds=1))
    await books.spend(45, DECEMBER, job_type="ndvi")
    await books.spend(500, JANUARY)  # the next month's
    other = await api.organization()
    assert await books.close(JANUARY - timedelta(microseconds=1)) == []

    (run,) = await books.close(JANUARY)
    assert (run.month, run.charged_credits, run.granted_credits) == ("2031-12", 195, 12000)
    assert await books.close(JANUARY + timedelta(days=30)) == []
    (invoice,) = await books.invoices()
    assert invoice["id"] == run.invoice_id and invoice["status"] == "open"
    assert (invoice["subtotal_cents"], invoice["tax_cents"], invoice["total_cents"]) == (
        9900,
        990,
        10890,
    )
    assert invoice["credits"] == 195

    answer = await api.ok("billing.invoices.get", {"invoice_id": invoice["id"]}, as_=books.owner)
    lines = answer["invoice"]["lines"]
    assert [(n["description"], n["quantity"], n["credits"], n["amount_cents"]) for n in lines] == [
        ("Plan Team, 2031-12", 1, 0, 9900),
        ("clip", 2, 150, 150),
        ("ndvi", 1, 45, 45),
        ("Paid with credits", 1, 0, -195),
    ]
    text, document = await read_pdf(api, answer)
    printed = re.findall(r"(-?[\d,]+\.\d\d)\s*$", text, re.MULTILINE)
    *amounts, subtotal, tax, total = [cents(found) for found in printed]
    assert amounts == [n["amount_cents"] for n in lines] and sum(amounts) == subtotal
    assert subtotal + tax == total == invoice["total_cents"]
    in_ledger = api.sql(
        "select sum(charged) as credits from journal where organization_id = %s and kind = 'settle'"
        " and created_at < %s", books.id, JANUARY,
    )[0]["credits"]  # fmt: skip
    assert sum(n["credits"] for n in lines) == in_ledger == 195
    assert "K?whai Maps & <Sons> ??" in text.replace("Kō", "K?") and "2031-12" in text
    again = await api.ok("billing.invoices.get", {"invoice_id": invoice["id"]}, as_=books.owner)
    assert (await read_pdf(api, again))[1] == document

    ref = {"invoice_id": invoice["id"]}
    await api.refused(404, "billing.invoices.get", ref, as_=other)
    await api.refused(403, "billing.invoices.get", ref, as_=await api.member(books.owner, "viewer"))
    assert (await api.ok("billing.invoices.list", as_=other))["invoices"] == []
    for limit in (-5, 0, 10**9):
        assert (await api.ok("billing.invoices.list", {"limit": limit}, as_=books.owner))[
            "count"
        ] == 1
    await api.refused(422, "billing.invoices.list", {"limit": "many"}, as_=books.owner)
    tampered = answer["download_url"].replace(invoice["id"], "inv_other")
    assert (await api.client.get(tampered.removeprefix("http://testserver"))).status_code == 403
    books.laws()


async def test_months_that_were_left_out_are_closed_in_order_over_new_year_and_leap_day(books, api):
    await books.on_plan("team")
    await books.spend(10, DECEMBER + timedelta(days=30, hours=23))
    await books.spend(20, datetime(2032, 2, 29, 23, 59, 59, tzinfo=UTC))
    runs = await books.close(MARCH)
    assert [(r.month, r.charged_credits) for r in runs] == [
        ("2031-12", 10),
        ("2032-01", 0),
        ("2032-02", 20),
    ]
    assert sorted(i["month"] for i in await books.invoices()) == ["2031-12", "2032-01", "2032-02"]
    lots = api.sql("select period from credit_lot where organization_id = %s order by 1", books.id)
    assert [lot["period"] for lot in lots] == [date(2032, m, 1) for m in (1, 2, 3)]
    books.laws()


async def test_who_has_nothing_to_pay_gets_no_invoice_and_is_closed_all_the_same(books, api):
    (run,) = await books.close(JANUARY)
    assert (run.invoice_id, run.granted_credits) == (None, 0)
    assert await books.invoices() == [] and await books.available() == 1000


async def test_all_who_are_due_are_closed_whoever_asks_at_the_same_time(books, api, stock, tamper):
    other = Books(api, stock, tamper, await api.organization())
    deleted = Books(api, stock, tamper, await api.organization())
    api.sql("update organization set deleted_at = now() where organization_id = %s", deleted.id)
    books.alone(other, deleted)
    for one in (books, other):
        await one.on_plan("team")
        await one.spend(25, DECEMBER)
    done = await asyncio.gather(*(close_all(api.platform.pipeline, JANUARY) for _ in range(4)))
    runs = [r for d in done for r in d.runs if r.organization_id in (books.id, other.id)]
    assert sorted(r.organization_id for r in runs) == sorted([books.id, other.id])
    assert all(d.failed == [] for d in done)
    assert deleted.id not in {r.organization_id for d in done for r in d.runs}
    for one in (books, other):
        assert [i["credits"] for i in await one.invoices()] == [25]
        assert await one.available() == 1000 - 25 + 12000
    assert (await close_all(api.platform.pipeline, JANUARY)).runs == []
    books.laws()


async def test_a_run_that_dies_anywhere_leaves_a_whole_month_or_none(books, api, monkeypatch):
    await books.on_plan("team")
    await books.spend(25, DECEMBER)
    for step in ("execute", "output", "provenance", "audit"):
        monkeypatch.setenv("OPSTAC_FAULT", f"{step}:raise")
        with pytest.raises(fault.Fault):
            await books.close(JANUARY)
        monkeypatch.delenv("OPSTAC_FAULT")
        assert await books.invoices() == [] and await books.available() == 975
    # one organization that cannot be closed keeps no other from it
    books.alone()
    books.tamper(
        "update organization_plan set plan_id = 'gone' where organization_id = %s", books.id
    )
    done = await close_all(api.platform.pipeline, JANUARY)
    assert done.failed == [books.id]
    books.tamper(
        "update organization_plan set plan_id = 'team' where organization_id = %s", books.id
    )
    assert [r.month for r in await books.close(JANUARY)] == ["2031-12"]
    books.laws()


async def test_the_operations_close_what_is_over_now(books, api):
    owner = books.owner
    last = (datetime.now(UTC).replace(day=1) - timedelta(days=1)).replace(hour=0)
    books.born(last)
    body = {"organization_id": books.id}
    stranger, boss = await api.organization(), api.operator()
    await api.refused(404, "billing.run_monthly_for_org", body, as_=stranger)
    await api.refused(
        403, "billing.run_monthly_for_org", body, as_=await api.member(owner, "member")
    )
    await api.refused(403, "billing.run_monthly_for_org", body, as_=api.cron)
    await api.refused(404, "billing.run_monthly_for_org", {"organization_id": "org_x"}, as_=boss)
    first = await api.call("billing.run_monthly_for_org", body, as_=owner, key="close")
    assert [r["month"] for r in first.json()["runs"]] == [f"{last:%Y-%m}"]
    again = await api.call("billing.run_monthly_for_org", body, as_=owner, key="close")
    assert again.content == first.content
    assert (await api.ok("billing.run_monthly_for_org", body, as_=boss))["runs"] == []
    third = Books(api, books.stock, books.tamper, await api.organization())
    third.born(last)
    runs = (await api.ok("billing.run_monthly_cron", as_=api.cron))["runs"]
    assert [r["month"] for r in runs if r["organization_id"] == third.id] == [f"{last:%Y-%m}"]
    assert books.id not in {r["organization_id"] for r in runs}


# ---------------------------------------------------------------- credits that expire


async def test_what_is_left_of_a_months_credits_expires_and_what_was_bought_stays(books, api):
    books.admit()
    await books.close(JANUARY)  # 500 of January beside the 1,000 that stay
    assert await books.available() == 1500
    await books.spend(120, JANUARY + timedelta(days=2))
    hold = await books.reserve(80, JANUARY + timedelta(days=3))
    (run,) = await books.close(FEBRUARY)
    assert (run.expired_credits, run.granted_credits) == (300, 500)
    assert await books.available() == 1000 + 500
    newest = await api.ok("billing.credits.transactions", {"reason": "expiry"}, as_=books.owner)
    assert [(m["amount"], m["description"]) for m in newest["transactions"]] == [
        (-300, "credits expired")
    ]
    # what was reserved out of January's and comes back is over too
    await books.release(hold)
    assert await books.available() == 1580
    (run,) = await books.close(MARCH)
    assert run.expired_credits == 80 + 500
    assert await books.available() == 1000 + 500
    books.laws()


async def test_more_than_is_there_does_not_expire(books, api):
    books.admit()
    await books.close(JANUARY)

    async def lose(ctx):
        ctx.credit("correction", -1400, "a mistake of before")

    await books.act(lose)
    (run,) = await books.close(FEBRUARY)
    assert run.expired_credits == 100
    assert await books.available() == 500
    (run,) = await books.close(MARCH)  # January's are written off: they take nothing of February's
    assert run.expired_credits == 500
    books.laws()


DAY = timedelta(days=1)
LOTS = st.lists(
    st.tuples(st.integers(1, 50), st.integers(0, 20), st.integers(1, 20)), min_size=1, max_size=4
)


MOVES = st.lists(
    st.tuples(st.integers(0, 45), st.sampled_from(("used", "came", "taken")), st.integers(1, 60)),
    max_size=10,
)


@given(lots=LOTS, moves=MOVES, kept=st.integers(0, 40))
@settings(deadline=None, max_examples=200)
def test_no_credit_is_used_twice_and_the_first_to_expire_goes_first(lots, moves, kept):
    made = [
        Lot(str(n), credits, DECEMBER + begin * DAY, DECEMBER + (begin + length) * DAY)
        for n, (credits, begin, length) in enumerate(lots)
    ]
    done = [(DECEMBER + day * DAY, what, credits) for day, what, credits in moves]
    done.sort(key=lambda move: (move[0], ("taken", "came", "used").index(move[1])))
    gone = used(made, [Stretch(at, **{what: credits}) for at, what, credits in done], kept)
    assert all(0 <= gone[lot.id] <= lot.credits for lot in made)
    # one credit after the other: what is used is of the live lot that ends first, then of those
    # that stay; what is taken is of those that stay first
    left = {lot.id: lot.credits for lot in made}
    for at, what, credits in done:
        if what == "came":
            kept += credits
            continue
        for _ in range(credits):
            live = [m for m in made if m.granted_at <= at < m.expires_at and left[m.id]]
            if live and (what == "used" or not kept):
                first = min(live, key=lambda m: (m.expires_at, m.granted_at, m.id))
                left[first.id] -= 1
            elif kept:
                kept -= 1
    assert gone == {lot.id: lot.credits - left[lot.id] for lot in made}


STEPS = st.lists(
    st.tuples(
        st.sampled_from(("buy", "spend", "reserve", "return", "month")),
        st.integers(1, 900),
    ),
    min_size=3,
    max_size=12,
)


@given(steps=STEPS)
@settings(
    deadline=None, max_examples=10,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
def test_whatever_goes_back_what_expires_was_never_bought(run_books, steps):
    """The lots' rest and the credits that stay are the balance, by a reckoning of one's own."""

    async def history(books: Books) -> None:
        books.admit()
        month, day = DECEMBER, 0
        stay, lot = 1000, 0
        for what, credits in [("month", 1), *steps]:
            day += 1
            at = month + timedelta(days=1, minutes=day)
            available = await books.available()
            if what == "month":
                month = (month + timedelta(days=32)).replace(day=1)
                day = 0
                (run,) = await books.close(month)
                assert run.expired_credits == lot
                lot = 500
            elif what == "buy":
                await books.move("topup", credits, at)
                stay += credits
            elif what in ("spend", "reserve"):
                credits = min(credits, available)
                of_lot = min(credits, lot)
                lot, stay = lot - of_lot, stay - (credits - of_lot)
                if credits and what == "spend":
                    await books.spend(credits, at)
                elif credits:
                    await books.reserve(credits, at)
            elif what == "return":
                credits = min(credits, available)
                of_stay = min(credits, stay)
                stay, lot = stay - of_stay, lot - (credits - of_stay)
                if credits:
                    await books.move("topup", -credits, at)
            assert await books.available() == stay + lot
            if month != DECEMBER:
                assert sum(rest for _, rest in await books.lots()) == lot
        books.laws()

    run_books(history)


# ---------------------------------------------------------------- invoices


@given(
    amounts=st.lists(st.integers(-(10**9), 10**12), min_size=1, max_size=60),
    bp=st.integers(0, 10_000),
)
@settings(deadline=None, max_examples=12)
def test_what_is_printed_is_what_was_reckoned(amounts, bp):
    subtotal = abs(sum(amounts))
    tax = tax_of(subtotal, bp)
    assert abs(tax * 10_000 - subtotal * bp) <= 5_000
    invoice = {
        "number": "X-1", "month": "2031-12", "status": "open", "currency": "AUD",
        "issued_at": JANUARY, "reference": "a & <b>", "note": "\x00\x07" + "n" * 500,
        "tax_basis_points": bp, "subtotal_cents": subtotal, "tax_cents": tax,
        "total_cents": subtotal + tax,
    }  # fmt: skip
    lines = [
        {"description": "<font size=99>x", "quantity": 1, "credits": 0, "amount_cents": a}
        for a in amounts
    ]
    document = invoice_pdf.draw(invoice, lines, seller="opstac\nSydney", payer="\ud800\u202e地")
    text = "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(document)).pages)
    printed = [cents(f) for f in re.findall(r"(-?[\d,]+\.\d\d)\s*$", text, re.MULTILINE)]
    assert printed == [*amounts, subtotal, tax, subtotal + tax]
    assert "a & <b>" in text and "<font size=99>x" in text


@pytest.mark.parametrize("table", ["invoice", "invoice_line", "billed_charge", "monthly_run"])
async def test_what_is_closed_is_never_changed(books, api, table):
    await books.on_plan("team")
    await books.spend(5, DECEMBER)
    await books.close(JANUARY)
    for statement in (f"update {table} set organization_id = 'x'", f"delete from {table}"):
        with pytest.raises(psycopg.Error) as refusal:
            api.sql(statement)
        assert refusal.value.sqlstate == "OP002"
    with pytest.raises(psycopg.Error) as refusal:  # an invoice that does not add up
        api.sql(
            "insert into invoice (id, organization_id, number, kind, status, month, currency,"
            " credits, subtotal_cents, tax_basis_points, tax_cents, total_cents, issued_at)"
            " values (%s, %s, 'x', 'monthly', 'open', '2031-12-01', 'AUD', 0, 5, 0, 0, 5, now())",
            f"inv_{table}", books.id,
        )  # fmt: skip
    assert refusal.value.sqlstate == "OP003"


# ---------------------------------------------------------------- paid afterwards


async def test_what_is_used_on_a_line_of_credit_is_accrued_and_invoiced_once(books, api):
    boss, body = api.operator(), {"organization_id": books.id}
    await billing_plans.assign(api.platform.pipeline, books.id, "enterprise", by="tests")
    assert await books.available() == 1_001_000
    first = await books.spend(40, DECEMBER)
    second = await books.spend(60, JANUARY, job_type="ndvi")
    other = Books(api, books.stock, books.tamper, await api.organization())
    await other.spend(7, DECEMBER)

    async def accrued(**more):
        answer = await api.ok("billing.enterprise.accrual", {**body, **more}, as_=boss)
        assert (
            answer["amount_cents"]
            == answer["credits"]
            == sum(o["credits"] for o in answer["orders"])
        )
        return [o["job_id"] for o in answer["orders"]]

    assert await accrued() == [first, second]
    assert await accrued(period="2031-12") == [first]
    assert await accrued(period="2032-02") == []
    nothing = await api.ok("billing.enterprise.accrual", {"organization_id": other.id}, as_=boss)
    assert (nothing["credits"], nothing["plan"]) == (0, "free")
    (run,) = await books.close(JANUARY)
    assert (run.accrued_credits, run.invoice_id) == (40, None)

    mark = "billing.enterprise.mark_invoiced"
    done = await api.ok(
        mark, {**body, "reference": "XERO-1", "period": "2031-12", "note": "n"}, as_=boss
    )
    assert (done["processed"], done["credits"], done["total_cents"]) == (1, 40, 44)
    assert await accrued() == [second]
    assert await books.available() == 1_001_000 - 60
    await api.refused(409, mark, {**body, "reference": "XERO-1"}, as_=boss)
    await api.refused(409, mark, {**body, "reference": "X-2", "order_ids": [first]}, as_=boss)
    await api.refused(409, mark, {**body, "reference": "X-2", "period": "2031-12"}, as_=boss)
    calls = [
        api.call(mark, {**body, "reference": f"X-{n}", "order_ids": [second]}, as_=boss)
        for n in range(4)
    ]
    statuses = sorted(r.status_code for r in await asyncio.gather(*calls))
    assert statuses == [200, 409, 409, 409]
    assert await accrued() == [] and await books.available() == 1_001_000
    invoices = await books.invoices()
    assert {(i["kind"], i["status"], i["credits"]) for i in invoices} == {
        ("enterprise", "invoiced", 40),
        ("enterprise", "invoiced", 60),
    }
    assert len({i["number"] for i in invoices}) == 2
    await api.refused(409, mark, {"organization_id": other.id, "reference": "X"}, as_=boss)
    for wrong in ("2031", "2031-13", "31-12", "0000-01", "x", "9999-12"):
        await api.refused(422, "billing.enterprise.accrual", {**body, "period": wrong}, as_=boss)
    for wrong in ("", None, "x" * 201):
        await api.refused(422, mark, {**body, "reference": wrong}, as_=boss)
    books.laws()


async def test_a_line_that_ends_is_taken_back_and_what_was_used_of_it_stays_owed(books, api):
    boss, body = api.operator(), {"organization_id": books.id}
    pipeline, now = api.platform.pipeline, datetime.now(UTC)

    async def put_on(plan):
        await billing_plans.assign(pipeline, books.id, plan, by="tests")

    async def owed():
        return (await api.ok("billing.enterprise.accrual", body, as_=boss))["credits"]

    async def invoice(reference):
        answer = {**body, "reference": reference}
        return await api.ok("billing.enterprise.mark_invoiced", answer, as_=boss)

    await put_on("enterprise")
    used, waits = await books.spend(400, datetime.now(UTC)), []

    async def reserve(ctx):
        waits.append(ctx.hold(100))

    await books.act(reserve)
    assert (await owed(), await books.available()) == (400, 1_001_000 - 500)
    await put_on("payg")
    assert (await owed(), await books.available()) == (400, 1000) and used
    await books.spend(30, datetime.now(UTC))  # with credits that were bought
    assert (await owed(), await books.available()) == (400, 970)

    # what was reserved on the line is owed as far as it is charged; the rest is not given away
    async def settle(ctx):
        ctx.settle(waits[0], 60)

    await books.act(settle)
    assert (await owed(), await books.available()) == (460, 1010)
    month = billing_plans.later(billing_plans.month_of(now), 1)
    books.born(now)
    (run,) = await books.close(billing_plans.start(month))
    assert (run.accrued_credits, run.charged_credits, run.expired_credits) == (460, 490, 40)
    assert await books.available() == 970 and await owed() == 460
    (paid,) = [i for i in await books.invoices() if i["id"] == run.invoice_id]
    assert (paid["credits"], paid["total_cents"]) == (30, 0)
    done = await invoice("XERO-1")
    assert (done["credits"], done["total_cents"]) == (460, 506)
    assert await books.available() == 970 and await owed() == 0  # paid, and no line to fill
    # a new line is whole, also on the day that the last one ended
    await put_on("enterprise")
    assert await books.available() == 970 + 1_000_000
    await books.spend(10, datetime.now(UTC))
    await put_on("payg")
    await put_on("enterprise")
    assert await books.available() == 970 + 1_000_000 - 10
    assert (await invoice("XERO-2"))["credits"] == 10
    assert await books.available() == 970 + 1_000_000
    told = api.sql(
        "select data from event where organization_id = %s and type = 'credits.topped_up'", books.id
    )
    assert [(t["data"]["credits"], t["data"]["source"]) for t in told] == [(10, "invoice")]
    books.laws()


async def test_the_plan_that_gave_a_months_credits_has_its_fee(books, api):
    await billing_plans.assign(api.platform.pipeline, books.id, "team", by="tests")
    assert await books.available() == 13_000
    await billing_plans.assign(api.platform.pipeline, books.id, "payg", by="tests")
    now = datetime.now(UTC)
    books.born(now)
    month = billing_plans.later(billing_plans.month_of(now), 1)
    (run,) = await books.close(billing_plans.start(month))
    (invoice,) = await books.invoices()
    assert (run.plan, invoice["subtotal_cents"]) == ("payg", 9900)
    assert await books.close(billing_plans.start(billing_plans.later(month, 1)))
    assert len(await books.invoices()) == 1


def test_a_half_cent_of_tax_is_rounded_up():
    assert [tax_of(n, 1000) for n in (0, 4, 5, 14, 15, 10**12)] == [0, 0, 1, 1, 2, 10**11]
