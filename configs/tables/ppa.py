"""The paper's model: both, PPA, end-to-end and CenterMask-39 of Tables 2 to 5, Ours of Table 1."""

from configs.tables import setting


def get_config(where="full,assr"):
    return setting.get_config(where)
