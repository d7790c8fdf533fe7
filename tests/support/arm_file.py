"""A model file of the smallest robot: one hinge with a motor."""

ARM = """
<mujoco>
  <worldbody>
    <body pos="0 0 1"><joint name="hinge" axis="0 1 0"/><geom type="capsule" size="0.03 0.2" mass="1"/></body>
  </worldbody>
  <actuator><motor joint="hinge" ctrlrange="-1 1"/></actuator>
</mujoco>
"""
