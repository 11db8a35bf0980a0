"""读取汇总表的行数。"""


def active_members(day):
    with open(f"/data/counts/{day}.txt", encoding="utf-8") as f:
        return int(f.read())
